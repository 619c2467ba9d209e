//! Memory, swap, and pressure: how long tasks wait for memory, processors and I/O.

use super::Files;
use procfs::{FromBufRead, Meminfo, PressureRecord, parse_pressure_record};

/// Memory of the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub total_bytes: u64,
    /// What programs can be given before the kernel swaps.
    pub available_bytes: u64,
}

/// Lines of `/proc/meminfo` that every Linux has. Sandboxes with a kernel of their own leave some
/// out, and `procfs` then refuses the whole file.
const LEFT_OUT_BY_SANDBOXES: &str = "Buffers: 0 kB\nCached: 0 kB\nSwapCached: 0 kB\nActive: 0 kB\nInactive: 0 kB\n\
    SwapTotal: 0 kB\nSwapFree: 0 kB\nDirty: 0 kB\nWriteback: 0 kB\nMapped: 0 kB\nSlab: 0 kB\nCommitted_AS: 0 kB\n\
    VmallocTotal: 0 kB\nVmallocUsed: 0 kB\nVmallocChunk: 0 kB\n";

impl Memory {
    pub(super) fn of(files: &impl Files) -> Option<Memory> {
        // Of a line that occurs twice, `procfs` keeps the second.
        let text = LEFT_OUT_BY_SANDBOXES.to_owned() + &files.read("/proc/meminfo")?;
        let meminfo = Meminfo::from_buf_read(text.as_bytes()).ok()?;
        Some(Memory { total_bytes: meminfo.mem_total, available_bytes: meminfo.mem_available? })
    }
}

/// The names in `/proc/swaps`, for which `procfs` has no parser.
pub(super) fn swaps(files: &impl Files) -> Vec<String> {
    let text = files.read("/proc/swaps").unwrap_or_default();
    let names = text.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next());
    names.map(str::to_owned).collect()
}

/// The share of the last ten seconds, minute and five minutes that was spent waiting, in per cent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stall {
    /// At least one task waited.
    pub some: [f32; 3],
    /// All tasks that had work waited. Kernels before 5.13 do not tell it for processors.
    pub full: Option<[f32; 3]>,
}

/// The stall of each resource; `None` where the kernel does not count it (`CONFIG_PSI`, or
/// `psi=0`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    pub cpu: Option<Stall>,
    pub memory: Option<Stall>,
    pub io: Option<Stall>,
}

impl Pressure {
    pub(super) fn of(files: &impl Files) -> Pressure {
        let of = |resource| stall(&files.read(&format!("/proc/pressure/{resource}"))?);
        Pressure { cpu: of("cpu"), memory: of("memory"), io: of("io") }
    }
}

/// For how long some task has waited for memory so far; `None` where the kernel does not count it.
pub(super) fn waited_us(files: &impl Files) -> Option<u64> {
    let text = files.read("/proc/pressure/memory")?;
    let some = text.lines().find(|line| line.starts_with("some"))?;
    Some(parse_pressure_record(some).ok()?.total)
}

fn stall(text: &str) -> Option<Stall> {
    let line = |name| {
        let record =
            parse_pressure_record(text.lines().find(|line| line.starts_with(name))?).ok()?;
        let PressureRecord { avg10, avg60, avg300, .. } = record;
        Some([avg10, avg60, avg300])
    };
    Some(Stall { some: line("some")?, full: line("full") })
}
