//! What is mounted where, from `/proc/self/mountinfo`.

use super::{Files, ThisMachine};
use procfs::process::MountInfo;
use std::fmt;
use std::path::{Path, PathBuf};

/// In the order in which they were mounted, with names as they are: the kernel prints a space as `\040`.
pub struct Mounts(Vec<MountInfo>);

/// How `/proc` hides processes from those that may not look into them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenProcesses {
    /// As the mount says it: `2` and `invisible`, `4` and `ptraceable` mean the same.
    pub hidepid: String,
    /// The group whose members see all.
    pub gid: Option<u32>,
}

impl Mounts {
    /// Those that this process sees.
    pub fn of_this_process() -> Mounts {
        Mounts::of(&ThisMachine)
    }

    /// A line that is not understood hides no other.
    pub fn of(files: &impl Files) -> Mounts {
        let text = files.read("/proc/self/mountinfo").unwrap_or_default();
        let plain = |mut mount: MountInfo| {
            mount.root = unescaped(&mount.root);
            mount.mount_point = PathBuf::from(unescaped(&mount.mount_point.to_string_lossy()));
            mount
        };
        Mounts(text.lines().filter_map(|line| MountInfo::from_line(line).ok()).map(plain).collect())
    }

    /// What is mounted from file systems of this type: `cgroup2`, say.
    pub fn of_type(&self, file_system: &str) -> impl Iterator<Item = &MountInfo> {
        self.0.iter().filter(move |mount| mount.fs_type == file_system)
    }

    /// The mount that a path without links leads to.
    pub fn holding(&self, path: impl AsRef<Path>) -> Option<&MountInfo> {
        let above = self.0.iter().filter(|mount| path.as_ref().starts_with(&mount.mount_point));
        // Of several at one place the last one is seen, and that is the one that is returned.
        above.max_by_key(|mount| mount.mount_point.components().count())
    }

    /// `None` if every process is to be seen.
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

/// The kernel prints a space, a tab, a line's end and a backslash in octal.
fn unescaped(name: &str) -> String {
    const ESCAPES: [(&str, &str); 4] = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    // The backslash last, as what follows it is no escape.
    ESCAPES.iter().fold(name.to_owned(), |name, (escape, plain)| name.replace(escape, plain))
}
