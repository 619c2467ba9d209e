//! Memory, what swaps it, and how long who wants it has to wait for it.

use super::Files;
use procfs::{FromBufRead, Meminfo, PressureRecord, parse_pressure_record};

/// Of the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub total_bytes: u64,
    /// What programs can have before anything is swapped.
    pub available_bytes: u64,
}

/// Lines that every Linux has. Sandboxes with a kernel of their own leave some out, and `procfs` then reads none.
const LEFT_OUT_BY_SANDBOXES: &str = "Buffers: 0 kB\nCached: 0 kB\nSwapCached: 0 kB\nActive: 0 kB\nInactive: 0 kB\n\
    SwapTotal: 0 kB\nSwapFree: 0 kB\nDirty: 0 kB\nWriteback: 0 kB\nMapped: 0 kB\nSlab: 0 kB\nCommitted_AS: 0 kB\n\
    VmallocTotal: 0 kB\nVmallocUsed: 0 kB\nVmallocChunk: 0 kB\n";

impl Memory {
    pub(super) fn of(files: &impl Files) -> Option<Memory> {
        // Of a line that is there twice the second counts.
        let text = LEFT_OUT_BY_SANDBOXES.to_owned() + &files.read("/proc/meminfo")?;
        let meminfo = Meminfo::from_buf_read(text.as_bytes()).ok()?;
        Some(Memory { total_bytes: meminfo.mem_total, available_bytes: meminfo.mem_available? })
    }
}

/// The names in `/proc/swaps`, which `procfs` does not read.
pub(super) fn swaps(files: &impl Files) -> Vec<String> {
    let text = files.read("/proc/swaps").unwrap_or_default();
    let names = text.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next());
    names.map(str::to_owned).collect()
}

/// How much of the last ten seconds, minute and five minutes was spent waiting, in per cent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stall {
    /// By one task at least.
    pub some: [f32; 3],
    /// By all that had something to do. Kernels before 5.13 do not say that of processors.
    pub full: Option<[f32; 3]>,
}

/// What is waited for; `None` where the kernel does not count it (`CONFIG_PSI`, or `psi=0`).
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

fn stall(text: &str) -> Option<Stall> {
    let line = |name| {
        let record = parse_pressure_record(text.lines().find(|line| line.starts_with(name))?).ok()?;
        let PressureRecord { avg10, avg60, avg300, .. } = record;
        Some([avg10, avg60, avg300])
    };
    Some(Stall { some: line("some")?, full: line("full") })
}
