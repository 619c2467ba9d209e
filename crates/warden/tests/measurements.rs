//! Measures what a launch and a stop cost. Run with `cargo test --release -p warden --test
//! measurements -- --ignored --nocapture --test-threads=1`.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use support::groups::{Parent, within};
use support::{Tenant, Warden, c_string, spec};
use warden::confinement::{Access, Group, PathRule, Resource, ResourceLimit, User, Walls};
use warden::protocol::StopStage;

const ROUNDS: u64 = 300;

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    // On a busy machine only the shortest can be compared.
    let [min, p10, p50, p99] = [0, 10, 50, 99].map(|percent| times[times.len() * percent / 100]);
    println!("{what}: min {min:?}, p10 {p10:?}, p50 {p50:?}, p99 {p99:?}");
}

#[test]
#[ignore = "a measurement"]
fn launch_and_stop() {
    let mut warden = Warden::start();
    let (mut starts, mut ends, mut stops) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=ROUNDS {
        let begin = Instant::now();
        let _tenant = warden.start_tenant(run, &spec(&["/bin/true"]));
        starts.push(begin.elapsed());
        warden.expect_ended(run);
        ends.push(begin.elapsed());
    }
    for run in 1..=ROUNDS {
        let _tenant = warden.start_tenant(run, &spec(&["/bin/sleep", "1000"]));
        let begin = Instant::now();
        warden.stop(run, StopStage::Terminate);
        warden.expect_ended(run);
        stops.push(begin.elapsed());
    }
    print("Launch of /bin/true to Started", starts);
    print("Launch of /bin/true to Ended", ends);
    print("Stop(Terminate) of sleep to Ended", stops);
}

/// Starts that come one by one, as visitors' do: a spare is there again, and the kernel does not
/// expect that another process is moved into a group.
#[test]
#[ignore = "a measurement"]
fn a_spaced_launch_within_groups() {
    let v1 = |limits: &[(&str, &[&str])]| -> Option<Vec<Group>> {
        limits.iter().map(|(name, settings)| Some(Parent::v1(name)?.group(settings))).collect()
    };
    let limits: [(&str, &[&str]); 3] = [
        ("memory", &["memory.limit_in_bytes=268435456"]),
        ("cpu", &["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000"]),
        ("pids", &["pids.max=100"]),
    ];
    let kinds = [
        ("no group", Some(Vec::new())),
        ("a group of version 2", Parent::v2().map(|parent| vec![parent.group(&[])])),
        ("three groups of version 1", v1(&limits)),
    ];
    let mut kinds: Vec<_> = kinds
        .into_iter()
        .filter_map(|(name, groups)| {
            let spec = within(spec(&["/bin/true"]), groups?);
            Some((name, spec, Warden::start(), Vec::new(), Vec::new()))
        })
        .collect();
    // In turns, as the machine is not always equally busy.
    for run in 1..=ROUNDS {
        for (_, spec, warden, starts, ends) in &mut kinds {
            std::thread::sleep(Duration::from_millis(30));
            let begin = Instant::now();
            let _tenant = warden.start_tenant(run, spec);
            starts.push(begin.elapsed());
            warden.expect_ended(run);
            ends.push(begin.elapsed());
        }
    }
    for (name, _, _, starts, ends) in kinds {
        print(&format!("Launch of /bin/true with {name} to Started"), starts);
        print(&format!("Launch of /bin/true with {name} to Ended"), ends);
    }
}

/// Launches that are spaced, as those of a host are, in turns with and without each part.
#[test]
#[ignore = "a measurement"]
fn what_walls_cost() {
    let true_spec = spec(&["/bin/true"]);
    let with = |change: &dyn Fn(&mut warden::Confinement)| {
        let mut spec = true_spec.clone();
        change(&mut spec.confinement);
        spec
    };
    let limit = ResourceLimit { resource: Resource::OpenFiles, value: 1_000 };
    let walls = support::walls::walls(system_like_paths());
    let temporary = c_string("/tmp/absolute-measured");
    let kinds = [
        ("nothing", with(&|_| ())),
        ("a limit", with(&|it| it.limits = vec![limit])),
        ("a temporary directory", with(&|it| it.temporary = Some(temporary.clone()))),
        (
            "a temporary directory in memory",
            with(&|it| it.temporary = Some(c_string("/dev/shm/absolute-measured"))),
        ),
        (
            "no privileges",
            with(&|it| it.walls = Some(Walls { refuses_system_calls: false, landlock: None })),
        ),
        ("and the filter", with(&|it| it.walls = Some(Walls { landlock: None, ..walls.clone() }))),
        ("and Landlock", with(&|it| it.walls = Some(walls.clone()))),
        (
            "all, and a user",
            with(&|it| {
                it.limits = vec![limit];
                it.temporary = Some(temporary.clone());
                it.walls = Some(walls.clone());
                it.user = Some(User { uid: 20_003, gid: 20_004 });
            }),
        ),
    ];
    let mut warden = Warden::start();
    let mut times = vec![Vec::new(); kinds.len()];
    for run in 0..ROUNDS * kinds.len() as u64 {
        let kind = run as usize % kinds.len();
        std::thread::sleep(Duration::from_millis(5));
        let begin = Instant::now();
        let _tenant = warden.start_tenant(run, &kinds[kind].1);
        times[kind].push(begin.elapsed());
        warden.expect_ended(run);
    }
    for ((name, _), times) in kinds.iter().zip(times) {
        print(name, times);
    }
}

/// About as many rules as a host has for the system.
fn system_like_paths() -> Vec<PathRule> {
    let files = ["hosts", "resolv.conf", "nsswitch.conf", "passwd", "group", "services", "ssl"];
    let etc = files.map(|file| support::walls::rule(Access::Read, format!("/etc/{file}")));
    let devices = ["zero", "full", "random", "urandom", "tty"];
    let devices = devices.map(|file| support::walls::rule(Access::Device, format!("/dev/{file}")));
    let missing =
        (0..25).map(|at| support::walls::rule(Access::Read, format!("/etc/missing-{at}")));
    etc.into_iter().chain(devices).chain(missing).collect()
}

#[test]
#[ignore = "a measurement"]
fn the_end_of_sixty_tenants() {
    let mut warden = Warden::start();
    let text = "setsid sleep 1000 & sleep 1000 & echo ready; wait";
    let mut tenants: Vec<Tenant> = (1..=60).map(|run| warden.start_script(run, text)).collect();
    tenants.iter_mut().for_each(|tenant| assert_eq!(tenant.stdout.line(), "ready"));
    let begin = Instant::now();
    warden.close_and_wait();
    println!("60 tenants of 3 processes gone after {:?}", begin.elapsed());
}

#[test]
#[ignore = "a measurement"]
fn memory() {
    let mut warden = Warden::start();
    let tenants: Vec<Tenant> =
        (1..=60).map(|run| warden.start_tenant(run, &spec(&["/bin/sleep", "1000"]))).collect();
    let keepers_kb: u64 = tenants.iter().map(|tenant| pss_kb(tenant.keeper)).sum();
    println!(
        "warden {} kB, keeper {} kB on average of 60 (PSS)",
        pss_kb(warden.pid()),
        keepers_kb / 60
    );
}

fn pss_kb(pid: Pid) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", pid.as_raw_pid())).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
