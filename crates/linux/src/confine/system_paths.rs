//! What a program within walls may reach of the system.

use warden::confinement::Access;

/// Programs and libraries. Not all of `/usr`: apps are kept in `/usr/src`, too, and one tenant
/// would then reach the others. What an app needs in `/opt` is in `read`.
const PROGRAMS: [&str; 23] = [
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/libexec",
    "/usr/include",
    "/usr/share",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/local/libexec",
    "/usr/local/include",
    "/usr/local/share",
    "/nix/store",
];

/// Single files and directories of `/etc`: of the loader, names and services, time, certificates,
/// and what programs look up about the system. Not `/etc/shadow`, nor `/etc/machine-id`, which
/// would let tenants of one machine know each other.
const SETTINGS: [&str; 26] = [
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld.so.preload",
    "ld-musl-x86_64.path",
    "ld-musl-aarch64.path",
    "localtime",
    "timezone",
    "hosts",
    "host.conf",
    "resolv.conf",
    "nsswitch.conf",
    "gai.conf",
    "passwd",
    "group",
    "protocols",
    "services",
    "mime.types",
    "os-release",
    "ssl",
    "pki",
    "ca-certificates",
    "ca-certificates.conf",
    "alternatives",
    "fonts",
    "terminfo",
];

/// What runtimes ask about the machine: `/proc` (of other processes Landlock leaves what `ps`
/// shows), processors, memory. And what `/etc/resolv.conf` mostly is a link to.
const MACHINE: [&str; 5] = [
    "/proc",
    "/run/systemd/resolve",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/kernel/mm/transparent_hugepage",
];

/// Devices that hold nothing of anybody's.
const DEVICES: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// What of the system a program may reach, and how. A path need not be there.
pub(super) fn all() -> impl Iterator<Item = (Access, String)> {
    let programs = PROGRAMS.map(|path| (Access::Execute, path.to_owned()));
    let settings = SETTINGS.map(|name| (Access::Read, format!("/etc/{name}")));
    let machine = MACHINE.map(|path| (Access::Read, path.to_owned()));
    let devices = DEVICES.map(|path| (Access::Device, path.to_owned()));
    programs.into_iter().chain(settings).chain(machine).chain(devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_holds_secrets_or_other_programs_data_is_reached() {
        for hidden in [
            "/etc/shadow",
            "/etc/ssh/ssh_host_ed25519_key",
            "/etc/machine-id",
            "/root",
            "/home",
            "/dev/shm/other",
            "/dev/kmsg",
            "/dev/loop0",
            "/tmp/other",
            "/var/lib/app/data",
            "/run/docker.sock",
            "/sys/fs/cgroup/cgroup.procs",
            "/sys/kernel/debug",
            "/opt/app/secret",
            "/usr/src/app/tenants/other",
        ] {
            let reaches =
                |(_, path): &(Access, String)| std::path::Path::new(hidden).starts_with(path);
            assert_eq!(all().find(reaches), None, "{hidden}");
        }
    }
}
