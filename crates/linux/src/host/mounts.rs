//! The mounts that this process sees, from `/proc/self/mountinfo`.

use super::{Files, ThisMachine};
use procfs::process::MountInfo;
use std::fmt;
use std::path::{Path, PathBuf};

/// All mounts in the order in which they were made. Names are unescaped: the kernel prints a space
/// as `\040`.
pub struct Mounts(Vec<MountInfo>);

/// The options with which `/proc` hides the processes of other users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenProcesses {
    /// As the mount has it: `2` and `invisible` mean the same, and so do `4` and `ptraceable`.
    pub hidepid: String,
    /// The group whose members see all processes.
    pub gid: Option<u32>,
}

impl Mounts {
    /// The mounts of this machine that this process sees.
    pub fn of_this_process() -> Mounts {
        Mounts::of(&ThisMachine)
    }

    /// The mounts in these files. A line that cannot be parsed is left out.
    pub fn of(files: &impl Files) -> Mounts {
        let text = files.read("/proc/self/mountinfo").unwrap_or_default();
        let plain = |mut mount: MountInfo| {
            mount.root = unescaped(&mount.root);
            mount.mount_point = PathBuf::from(unescaped(&mount.mount_point.to_string_lossy()));
            mount
        };
        Mounts(text.lines().filter_map(|line| MountInfo::from_line(line).ok()).map(plain).collect())
    }

    /// The mounts of file systems of this type: `cgroup2`, say.
    pub fn of_type(&self, file_system: &str) -> impl Iterator<Item = &MountInfo> {
        self.0.iter().filter(move |mount| mount.fs_type == file_system)
    }

    /// The mount that holds a path; the path must not lead through symbolic links.
    pub fn holding(&self, path: impl AsRef<Path>) -> Option<&MountInfo> {
        let above = self.0.iter().filter(|mount| path.as_ref().starts_with(&mount.mount_point));
        // Of several mounts at one place the last covers the others, and `max_by_key` returns the
        // last.
        above.max_by_key(|mount| mount.mount_point.components().count())
    }

    /// How `/proc` hides processes; `None` if it shows all.
    pub fn hidden_processes(&self) -> Option<HiddenProcesses> {
        let proc = self.0.iter().rfind(|mount| mount.mount_point == Path::new("/proc"))?;
        let option = |name: &str| proc.super_options.get(name)?.clone();
        let hidepid = option("hidepid").filter(|value| !matches!(value.as_str(), "0" | "off"))?;
        Some(HiddenProcesses { hidepid, gid: option("gid").and_then(|gid| gid.parse().ok()) })
    }
}

impl fmt::Display for HiddenProcesses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "hidepid={}", self.hidepid)?;
        self.gid.map_or(Ok(()), |gid| write!(out, ",gid={gid}"))
    }
}

/// Decodes the octal escapes with which the kernel prints a space, a tab, a newline and a
/// backslash.
fn unescaped(name: &str) -> String {
    const ESCAPES: [(&str, &str); 4] =
        [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    // The backslash comes last: decoded earlier, it would begin another escape.
    ESCAPES.iter().fold(name.to_owned(), |name, (escape, plain)| name.replace(escape, plain))
}
