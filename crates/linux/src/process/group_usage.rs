//! What the control groups of a tenant say that it uses.
//!
//! A group counts what its processes have used from their first moment on, also those that have
//! ended and that no process has waited for, so it is more exact than a look at the processes. Its
//! memory is what the limit counts: of a file that several tenants have mapped, only what this one
//! has read first.

use rustix::fs::{Mode, OFlags, open, stat};
use std::sync::{Mutex, PoisonError};
use warden::confinement::{Group, Hierarchy};

/// Room for a file of a group; the longest, `memory.stat`, has 2 KiB.
const FILE_ROOM_BYTES: usize = 8 << 10;

const NS_PER_US: u64 = 1_000;
const US_PER_MS: u64 = 1_000;

/// The groups of one tenant.
#[derive(Clone, Copy, Debug)]
pub struct GroupUse {
    parents: &'static Parents,
    number: u64,
}

/// The directories in which a host's tenants have their groups.
#[derive(Debug, PartialEq, Eq)]
struct Parents {
    of: Vec<(Hierarchy, String)>,
    /// Of version 2.
    unified: Option<String>,
    /// Of version 1, with the controller `memory`.
    memory: Option<String>,
    /// Of version 1, with the controller `cpuacct`.
    cpuacct: Option<String>,
}

/// The parents that were seen so far: they stay the same for as long as a process is not moved, so
/// these are one or two.
static SEEN: Mutex<Vec<&'static Parents>> = Mutex::new(Vec::new());

/// What was read; `None` where a file is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InGroup {
    pub cpu_ms: Option<u64>,
    pub rss_bytes: Option<u64>,
}

impl PartialEq for GroupUse {
    fn eq(&self, other: &GroupUse) -> bool {
        std::ptr::eq(self.parents, other.parents) && self.number == other.number
    }
}

impl Eq for GroupUse {}

impl GroupUse {
    /// The groups that the warden has made for a launch, named by this number; `None` if there is
    /// none (0).
    pub fn of(groups: &[Group], number: u64) -> Option<GroupUse> {
        if groups.is_empty() || number == 0 {
            return None;
        }
        let of: Vec<(Hierarchy, String)> = groups
            .iter()
            .map(|group| (group.hierarchy, group.parent.to_string_lossy().into_owned()))
            .collect();
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.iter().copied().find(|parents| parents.of == of);
        let parents = known.unwrap_or_else(|| {
            let parents: &'static Parents = Box::leak(Box::new(Parents::new(of)));
            seen.push(parents);
            parents
        });
        Some(GroupUse { parents, number })
    }

    /// The number by which sockets name the group of version 2: that of its directory. `None` if
    /// there is no such group.
    pub fn id(&self) -> Option<u64> {
        Some(stat(self.unified("")?).ok()?.st_ino)
    }

    /// What the groups say now.
    pub fn usage(&self) -> InGroup {
        InGroup { cpu_ms: self.cpu_ms(), rss_bytes: self.rss_bytes() }
    }

    fn unified(&self, file: &str) -> Option<String> {
        self.parents.unified.as_ref().map(|parent| format!("{parent}/{}/{file}", self.number))
    }

    fn cpu_ms(&self) -> Option<u64> {
        let of_v2 = || number_in(&text(&self.unified("cpu.stat")?)?, "usage_usec");
        let of_v1 = || {
            let file = format!("{}/{}/cpuacct.usage", self.parents.cpuacct.as_ref()?, self.number);
            Some(text(&file)?.trim().parse::<u64>().ok()? / NS_PER_US)
        };
        of_v2().or_else(of_v1).map(|us| us / US_PER_MS)
    }

    fn rss_bytes(&self) -> Option<u64> {
        match &self.parents.memory {
            Some(parent) => {
                let stat = text(&format!("{parent}/{}/memory.stat", self.number))?;
                resident(&stat, ["total_rss", "total_mapped_file", "total_shmem"])
            }
            None => {
                let stat = text(&self.unified("memory.stat")?)?;
                resident(&stat, ["anon", "file_mapped", "shmem"])
            }
        }
    }
}

impl Parents {
    fn new(of: Vec<(Hierarchy, String)>) -> Parents {
        let first = |hierarchy: Hierarchy, file: &str| {
            let has_file =
                |parent: &str| file.is_empty() || stat(format!("{parent}/{file}")).is_ok();
            let parent = of.iter().find(|(one, parent)| *one == hierarchy && has_file(parent));
            parent.map(|(_, parent)| parent.clone())
        };
        Parents {
            unified: first(Hierarchy::V2, ""),
            memory: first(Hierarchy::V1, "memory.stat"),
            cpuacct: first(Hierarchy::V1, "cpuacct.usage"),
            of,
        }
    }
}

/// The bytes in RAM that are the group's alone, and those of files that it has mapped. Shared
/// memory counts as such a file while it is mapped, and takes memory also when it is not.
fn resident(stat: &str, [anonymous, mapped, shared]: [&str; 3]) -> Option<u64> {
    let of = |name| number_in(stat, name);
    let files = of(mapped)?.max(of(shared).unwrap_or(0));
    Some(of(anonymous)?.saturating_add(files))
}

/// The number in a line of a name and a number.
fn number_in(text: &str, name: &str) -> Option<u64> {
    let number = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(number)
}

fn text(path: &str) -> Option<String> {
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut room = vec![0; FILE_ROOM_BYTES];
    let mut length = 0;
    loop {
        match rustix::io::read(&file, &mut room[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(_) => return None,
        }
    }
    room.truncate(length);
    String::from_utf8(room).ok()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start processes")]
mod tests {
    use super::*;
    use crate::process::accounting::{Root, Sampler, of_tree, sample_once};
    use std::fs;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    /// A directory that looks like groups.
    fn files(name: &str, texts: &[(&str, &str)]) -> String {
        let parent =
            std::env::temp_dir().join(format!("group-usage-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&parent);
        fs::create_dir_all(parent.join("7")).unwrap();
        for (name, text) in texts {
            fs::write(parent.join(name), text).unwrap();
        }
        parent.to_str().unwrap().to_owned()
    }

    fn group(hierarchy: Hierarchy, parent: &str) -> Group {
        let parent = std::ffi::CString::new(parent).unwrap();
        Group { hierarchy, parent, settings: Vec::new() }
    }

    #[test]
    fn a_group_of_either_version_says_what_it_uses() {
        let v2 = files(
            "v2",
            &[
                ("7/cpu.stat", "usage_usec 1234567\nuser_usec 1\n"),
                ("7/memory.stat", "anon 1000\nfile 9\nshmem 50\nfile_mapped 300\n"),
            ],
        );
        let v1 = files(
            "v1",
            &[
                ("memory.stat", ""),
                ("cpuacct.usage", "0\n"),
                ("7/cpuacct.usage", "5999999999\n"),
                ("7/memory.stat", "rss 1\ntotal_rss 70\ntotal_shmem 8\ntotal_mapped_file 5\n"),
            ],
        );
        let of = |groups: &[Group]| GroupUse::of(groups, 7).unwrap().usage();
        let (one, two) = (group(Hierarchy::V1, &v1), group(Hierarchy::V2, &v2));
        let seen = of(std::slice::from_ref(&two));
        assert_eq!(seen, InGroup { cpu_ms: Some(1_234), rss_bytes: Some(1_300) });
        let seen = of(std::slice::from_ref(&one));
        assert_eq!(seen, InGroup { cpu_ms: Some(5_999), rss_bytes: Some(78) });
        // Version 2 without controllers beside version 1.
        fs::remove_file(format!("{v2}/7/memory.stat")).unwrap();
        let seen = of(&[one, two.clone()]);
        assert_eq!(seen, InGroup { cpu_ms: Some(1_234), rss_bytes: Some(78) });
        fs::remove_dir_all(&v1).unwrap();
        let seen = of(std::slice::from_ref(&two));
        assert_eq!(seen, InGroup { cpu_ms: Some(1_234), rss_bytes: None });
        fs::remove_dir_all(&v2).unwrap();
        assert_eq!(GroupUse::of(&[two], 7).unwrap().usage(), InGroup::default());
    }

    #[test]
    fn without_a_number_or_a_parent_there_is_no_group() {
        assert_eq!(GroupUse::of(&[], 7), None);
        assert_eq!(GroupUse::of(&[group(Hierarchy::V2, "/a")], 0), None);
        let twice = [7, 7].map(|number| GroupUse::of(&[group(Hierarchy::V2, "/a")], number));
        assert_eq!(twice[0], twice[1]);
        assert_ne!(twice[0], GroupUse::of(&[group(Hierarchy::V2, "/b")], 7));
    }

    /// Real groups of this machine, and a tree in them whose one process used processor time and
    /// left it to nobody: its parent ignores SIGCHLD, so the time is in no `cutime`.
    struct Grouped {
        groups: Vec<Group>,
        tree: Child,
    }

    impl Grouped {
        /// `None` where this process may make no groups.
        fn start(name: &str) -> Option<Grouped> {
            use crate::host::{Groups, Mounts, ThisMachine};
            let name = format!("test-{name}-{}", std::process::id());
            let found = Groups::of(&ThisMachine, &Mounts::of(&ThisMachine));
            let mut groups = Vec::new();
            for own in found.0.iter().filter(|own| own.is_writable) {
                let hierarchy = match own.hierarchy {
                    crate::host::Hierarchy::V1 if own.has("memory") => Hierarchy::V1,
                    crate::host::Hierarchy::V2 => Hierarchy::V2,
                    crate::host::Hierarchy::V1 => continue,
                };
                let parent = format!("{}/{name}", own.paths[0]);
                fs::create_dir_all(format!("{parent}/1")).ok()?;
                groups.push(group(hierarchy, &parent));
            }
            let directories: Vec<String> = groups
                .iter()
                .map(|group| format!("{}/1", group.parent.to_str().unwrap()))
                .collect();
            if directories.is_empty() {
                return None;
            }
            let script = r#"for group in "$@"; do echo $$ > $group/cgroup.procs; done
                trap '' CHLD
                perl -e '$SIG{CHLD} = "IGNORE"; if (!fork) { my $i = 0; $i++ while $i < 8e6; exit }
                         my $kept = "x" x 20_000_000; 1 while wait != -1; print "up\n"; close STDOUT; sleep'"#;
            let mut tree = Command::new("sh");
            tree.args(["-c", script, "sh"]).args(directories).stdout(Stdio::piped());
            let mut tree =
                std::os::unix::process::CommandExt::process_group(&mut tree, 0).spawn().unwrap();
            let mut said = String::new();
            BufReader::new(tree.stdout.take().unwrap()).read_line(&mut said).unwrap();
            assert_eq!(said, "up\n");
            Some(Grouped { groups, tree })
        }
    }

    impl Drop for Grouped {
        fn drop(&mut self) {
            let group = rustix::process::Pid::from_child(&self.tree);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            let _ = self.tree.wait();
            for group in &self.groups {
                let parent = group.parent.to_str().unwrap();
                // A process that has ended leaves its group a moment later.
                while fs::remove_dir(format!("{parent}/1"))
                    .is_err_and(|error| error.kind() == std::io::ErrorKind::ResourceBusy)
                {
                    std::thread::yield_now();
                }
                let _ = fs::remove_dir(parent);
            }
        }
    }

    #[test]
    fn a_tree_with_a_group_has_the_groups_figures_and_its_own_processes() {
        let Some(grouped) = Grouped::start("usage") else { return };
        let keeper = std::process::id();
        let root = Root::of_tenant(grouped.tree.id(), &grouped.groups, 1);
        let alone = Root::Keeper(grouped.tree.id());
        let lists = [Sampler::default().sample(&[root, alone]), sample_once(&[root, alone])];
        let looks = lists.into_iter().map(|list| (list[0].unwrap(), list[1].unwrap()));
        let looks = looks.chain([(of_tree(root).unwrap(), of_tree(alone).unwrap())]);
        for (with_group, without) in looks {
            assert!(
                with_group.cpu_ms >= without.cpu_ms + 50,
                "nobody has waited for the busy process: {with_group:?}, {without:?}"
            );
            assert_eq!(with_group.processes, without.processes);
            assert!(with_group.rss_bytes > 20_000_000, "{with_group:?}");
        }
        // The groups are gone before the tree is: then the processes are what there is.
        let elsewhere = Root::of_tenant(keeper, &[group(Hierarchy::V2, "/nowhere")], 1);
        let seen = of_tree(elsewhere).unwrap();
        assert_eq!(seen.processes, of_tree(Root::Keeper(keeper)).unwrap().processes);
    }
}
