//! What all processes of the machine share: the kernel's release, its limits, and the port range.

use super::{Files, numbers};
use crate::net::ports::{local_port_range, ranges};
use procfs::{FromRead, LoadAverage};

/// Facts of the whole machine; each is `None` where its file cannot be read.
#[derive(Debug)]
pub struct Machine {
    pub kernel_release: Option<String>,
    pub pid_max: Option<u64>,
    pub threads_max: Option<u64>,
    /// Processes and threads that exist now.
    pub tasks: Option<u64>,
    pub open_files: Option<u64>,
    pub open_files_max: Option<u64>,
    /// How many connections may wait for `accept` at one socket.
    pub backlog_max: Option<u64>,
    pub ports: Ports,
}

/// The range from which the kernel chooses a port for a socket that asks for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    pub first: u16,
    pub last: u16,
    /// Ports of the range that are only given to sockets that ask for them by number.
    pub reserved: usize,
}

impl Machine {
    pub(super) fn of(files: &impl Files) -> Machine {
        let release = files.read("/proc/sys/kernel/osrelease");
        let first = |path| numbers(files, path).first().copied();
        let load = files
            .read("/proc/loadavg")
            .and_then(|text| LoadAverage::from_read(text.as_bytes()).ok());
        let file_numbers = numbers(files, "/proc/sys/fs/file-nr");
        Machine {
            kernel_release: release.map(|text| text.trim().to_owned()),
            pid_max: first("/proc/sys/kernel/pid_max"),
            threads_max: first("/proc/sys/kernel/threads-max"),
            tasks: load.map(|load| load.max.into()),
            open_files: file_numbers.first().copied(),
            open_files_max: file_numbers.get(2).copied(),
            backlog_max: first("/proc/sys/net/core/somaxconn"),
            ports: Ports::of(files),
        }
    }
}

impl Ports {
    fn of(files: &impl Files) -> Ports {
        let read = |name| files.read(&format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
        let range = local_port_range(&read("ip_local_port_range"));
        let reserved = ranges(&read("ip_local_reserved_ports"));
        let is_reserved = |port: &u16| reserved.iter().any(|range| range.contains(port));
        let (first, last) = (*range.start(), *range.end());
        Ports { first, last, reserved: range.filter(is_reserved).count() }
    }
}
