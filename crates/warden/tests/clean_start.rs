//! A tenant starts with clean descriptors, signals and groups, whatever those of the host are.

mod support;

use std::process::Command;

use support::{Warden, exited, process, spec};

#[allow(clippy::disallowed_methods, reason = "tests start processes")]
/// A warden whose host ignores and blocks signals and leaves descriptors open for its children.
fn untidy() -> Warden {
    let mut command = Command::new("bash");
    let untidy = "exec 5</dev/null 6>/dev/null 77</etc/passwd 200</dev/null; \
        exec env --ignore-signal=PIPE --ignore-signal=CHLD --ignore-signal=INT --ignore-signal=TERM \
        --ignore-signal=HUP --ignore-signal=RTMIN+3 --block-signal=USR1 --block-signal=TERM \"$0\"";
    command.args(["-c", untidy, env!("CARGO_BIN_EXE_warden")]);
    Warden::start_by(command)
}

#[test]
fn it_has_no_descriptors_but_its_stdio() {
    let mut warden = untidy();
    let _other = warden.start_script(1, "sleep 1000");
    let mut tenant = warden.start_tenant(2, &spec(&["ls", "/proc/self/fd"]));
    // The fourth is the descriptor with which `ls` reads the directory.
    assert_eq!(tenant.stdout.rest(), "0\n1\n2\n3\n");
    let mut tenant = warden.start_tenant(3, &spec(&["readlink", "/proc/self/fd/0"]));
    assert_eq!(tenant.stdout.rest(), "/dev/null\n");
    let mut tenant = warden.start_script(4, "readlink /proc/$$/fd/1 /proc/$$/fd/2");
    let ends = tenant.stdout.rest();
    let (out, err) = ends.trim().split_once('\n').expect("two lines");
    assert!(out.starts_with("pipe:") && err.starts_with("pipe:") && out != err, "{ends}");
}

#[test]
fn its_keeper_holds_nothing_of_the_host_or_of_others() {
    let mut warden = untidy();
    let tenants: Vec<_> = (1..=3).map(|run| warden.start_script(run, "sleep 1000")).collect();
    for tenant in tenants {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", tenant.keeper.as_raw_pid())).unwrap();
        let mut links: Vec<String> = fds
            .map(|fd| std::fs::read_link(fd.unwrap().path()).unwrap().to_str().unwrap().to_owned())
            .map(|link| link.split(':').next().unwrap().to_owned())
            .collect();
        links.sort();
        // Its stdio, the socket to the warden, and its child signals.
        assert_eq!(links, ["/dev/null", "/dev/null", "/dev/null", "anon_inode", "socket"]);
    }
}

#[test]
fn no_signal_is_blocked_or_ignored() {
    let mut warden = untidy();
    for field in ["SigBlk", "SigIgn"] {
        let mut tenant = warden.start_tenant(1, &spec(&["grep", field, "/proc/self/status"]));
        assert_eq!(tenant.stdout.rest(), format!("{field}:\t0000000000000000\n"));
        assert_eq!(warden.expect_ended(1).how(), exited(0), "children are reaped all the same");
    }
}

#[test]
fn it_leads_its_own_group_outside_of_every_other_tenants_session() {
    let mut warden = Warden::start();
    let first = warden.start_script(1, "sleep 1000");
    let second = warden.start_script(2, "sleep 1000");
    for tenant in [&first, &second] {
        let (_, ids) = process::ids(tenant.pid).unwrap();
        let (keeper, pid) = (tenant.keeper.as_raw_pid(), tenant.pid.as_raw_pid());
        assert_eq!(ids, [keeper, pid, keeper], "parent, group, session");
        assert_eq!(
            process::ids(tenant.keeper).unwrap().1,
            [warden.pid().as_raw_pid(), keeper, keeper]
        );
    }
}
