//! Environments up to the kernel's limit reach the tenant whole.

mod support;

use support::{Warden, c_string, exited, spec};
use warden::protocol::LaunchStep;

/// The kernel's limit for one string is 128 KiB, its zero byte included.
const LONGEST_STRING_BYTES: usize = 128 * 1_024 - 1;

#[test]
fn one_long_value() {
    let mut warden = Warden::start();
    let mut long = spec(&["/bin/sh", "-c", "echo ${#BIG}"]);
    long.env.push(c_string(&format!("BIG={}", "x".repeat(120_000))));
    let mut tenant = warden.start_tenant(1, &long);
    assert_eq!(tenant.stdout.rest(), "120000\n");
    assert_eq!(warden.expect_ended(1).how(), exited(0));
}

#[test]
fn many_values() {
    let mut warden = Warden::start();
    let mut many = spec(&["/bin/sh", "-c", "wc -c < /proc/$$/environ"]);
    many.env
        .extend((0..1_000).map(|index| c_string(&format!("N{index:04}={}", "v".repeat(1_041)))));
    let mut tenant = warden.start_tenant(1, &many);
    let bytes: usize = tenant.stdout.rest().trim().parse().unwrap();
    assert!(bytes >= 1_000 * 1_048, "{bytes}");
}

#[test]
fn a_value_beyond_the_kernels_limit_is_refused() {
    let mut warden = Warden::start();
    let with_length = |bytes: usize| {
        let mut long = spec(&["/bin/true"]);
        long.env.push(c_string(&format!("BIG={}", "x".repeat(bytes - 4))));
        long
    };
    warden.start_tenant(1, &with_length(LONGEST_STRING_BYTES));
    warden.launch(2, &with_length(LONGEST_STRING_BYTES + 1));
    assert_eq!(warden.expect_failure(2), (LaunchStep::Execute, 7));
}
