//! The CPU time of a run is that of its whole tree, including processes that ended long before or
//! were daemonised.

mod support;

use support::{Warden, exited};

/// Uses far more CPU time than starting a shell does, on any machine.
const BURN: &str = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";

fn cpu_us_of(text: &str) -> u64 {
    let mut warden = Warden::start();
    warden.start_script(1, text);
    let ended = warden.expect_ended(1);
    assert_eq!(ended.how(), exited(0));
    ended.cpu_us
}

#[test]
fn the_whole_tree_counts() {
    let idle_us = cpu_us_of("sleep 0.1");
    let main_us = cpu_us_of(BURN);
    assert!(main_us > 5 * idle_us, "{main_us} us burnt, {idle_us} us idle");
    let expected = main_us / 2..main_us * 10;
    let grandchild_us =
        cpu_us_of(&format!("sh -c 'sh -c \"{}\"; true'; true", BURN.replace('$', "\\$")));
    assert!(expected.contains(&grandchild_us), "grandchild: {grandchild_us} of {main_us} us");
    let orphan_us = cpu_us_of(&format!("(setsid sh -c '{BURN}; :' &) | cat"));
    assert!(expected.contains(&orphan_us), "daemon: {orphan_us} of {main_us} us");
}

#[test]
fn what_is_killed_counts() {
    let mut warden = Warden::start();
    let mut tenant =
        warden.start_script(1, &format!("setsid sh -c '{BURN}; echo burnt; sleep 1000' & wait"));
    assert_eq!(tenant.stdout.line(), "burnt");
    warden.stop(1, warden::StopStage::Kill);
    let cpu_us = warden.expect_ended(1).cpu_us;
    assert!(cpu_us > 20_000, "{cpu_us} us");
}

#[test]
fn one_tenants_time_is_not_anothers() {
    let mut warden = Warden::start();
    warden.start_script(1, BURN);
    warden.start_script(2, "exit 0");
    let (first, second) = (warden.expect_ended(1), warden.expect_ended(2));
    assert!(first.cpu_us > 3 * second.cpu_us, "{first:?} {second:?}");
}
