//! Control groups for tests: where this process may make some, and what is in them. A test that
//! finds no place says that it is skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use warden::confinement::{Group, Hierarchy};
use warden::group_tree::remove_group;
use warden::protocol::Report;
use warden::spec::LaunchSpec;

use super::{Tenant, Warden, c_string};

/// A parent of groups that the warden is to make and to remove.
pub struct Parent {
    pub hierarchy: Hierarchy,
    pub path: PathBuf,
}

impl Parent {
    /// In the hierarchy of the second version, whether it has controllers or not.
    pub fn v2() -> Option<Parent> {
        Parent::below(Hierarchy::V2, place("cgroup2", "")?)
    }

    /// In the hierarchy of the second version, if its groups can have this controller.
    pub fn v2_with(controller: &str) -> Option<Parent> {
        let place = place("cgroup2", "")?;
        let controls = || {
            let enabled = fs::read_to_string(place.join("cgroup.subtree_control"))?;
            Ok::<_, std::io::Error>(enabled.split_ascii_whitespace().any(|it| it == controller))
        };
        let order = format!("+{controller}");
        let _ = fs::write(place.join("cgroup.subtree_control"), order);
        if !controls().unwrap_or(false) {
            return skipped(&format!("there is no controller {controller} for groups"));
        }
        Parent::below(Hierarchy::V2, place.clone())
    }

    /// In the hierarchy of the first version with this controller.
    pub fn v1(controller: &str) -> Option<Parent> {
        Parent::below(Hierarchy::V1, place("cgroup", controller)?)
    }

    fn below(hierarchy: Hierarchy, place: PathBuf) -> Option<Parent> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = place.join(format!("absolute-test-{}-{number}", std::process::id()));
        match fs::create_dir(&path).and_then(|()| fs::remove_dir(&path)) {
            Ok(()) => Some(Parent { hierarchy, path }),
            Err(error) => skipped(&format!("no group can be made in {}: {error}", place.display())),
        }
    }

    /// The group of a tenant's that a launch asks for.
    pub fn group(&self, settings: &[&str]) -> Group {
        let parent = c_string(self.path.to_str().expect("a plain name"));
        let settings = settings.iter().map(|setting| c_string(setting)).collect();
        Group { hierarchy: self.hierarchy, parent, settings }
    }

    /// The numbers of the groups that there are.
    pub fn groups(&self) -> Vec<u64> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    /// The directory of a group.
    pub fn at(&self, number: u64) -> PathBuf {
        self.path.join(number.to_string())
    }

    /// The processes in a group.
    pub fn members(&self, number: u64) -> Vec<i32> {
        let list = fs::read_to_string(self.at(number).join("cgroup.procs")).unwrap_or_default();
        list.lines().filter_map(|line| line.parse().ok()).collect()
    }

    pub fn is_gone(&self) -> bool {
        !self.path.exists()
    }
}

/// A test that fails leaves none either.
impl Drop for Parent {
    fn drop(&mut self) {
        let due = Instant::now() + super::DEADLINE;
        let kill = |group: &Path| {
            let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            let members = list.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?));
            for pid in members {
                let _ = kill_process(pid, Signal::KILL);
            }
        };
        while !remove_group(&self.path, || Instant::now() > due, kill) && Instant::now() < due {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The parents for a test of each version that this machine has.
pub fn each_version() -> Vec<Parent> {
    [Parent::v2(), Parent::v1("pids")].into_iter().flatten().collect()
}

/// A launch with these groups.
pub fn within(mut spec: LaunchSpec, groups: Vec<Group>) -> LaunchSpec {
    spec.confinement.groups = groups;
    spec
}

/// Starts a tenant; returns the number of its groups, too.
pub fn start(warden: &mut Warden, run: u64, spec: &LaunchSpec) -> (Tenant, u64) {
    let (stdout, stderr) = warden.launch(run, spec);
    let (pid, keeper, group) = started(warden, run);
    (Tenant { run, pid, keeper, stdout, stderr }, group)
}

/// Waits until a launch is under way; returns its main process, its keeper, and the number of its
/// groups.
pub fn started(warden: &mut Warden, run: u64) -> (Pid, Pid, u64) {
    let pid = |raw: u32| Pid::from_raw(raw.cast_signed()).expect("a pid");
    match warden.report_about(run) {
        Report::Started { pid: main, keeper_pid, group, .. } => (pid(main), pid(keeper_pid), group),
        other => panic!("expected run {run} to start, got {other:?}"),
    }
}

/// A tenant of a single process that stays.
pub fn sleeper() -> LaunchSpec {
    super::spec(&["/bin/sleep", "1000"])
}

/// Whether any line of the process's `cgroup` file ends in this.
pub fn is_in(pid: Pid, end: &str) -> bool {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_pid()));
    groups.unwrap_or_default().lines().any(|line| line.ends_with(end))
}

/// The group of this process in the hierarchy, or its root where that is not visible.
fn place(kind: &str, controller: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mount = mounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let has = controller.is_empty() || fields.get(3)?.split(',').any(|it| it == controller);
        (*fields.get(2)? == kind && has).then(|| PathBuf::from(fields[1]))
    });
    let Some(mount) = mount else {
        return skipped(&format!("no {kind} hierarchy {controller} is mounted"));
    };
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let is_it = fields.next()?.split(',').any(|it| it == controller);
        is_it.then(|| fields.next())?
    });
    let own = mount.join(own.unwrap_or_default().trim_start_matches('/'));
    Some(if Path::new(&own).is_dir() { own } else { mount })
}

fn skipped<T>(why: &str) -> Option<T> {
    eprintln!("skipped: {why}");
    None
}
