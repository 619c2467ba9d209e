//! A surviving warden holds five descriptors for each tenant, and is not bound by the number that
//! its host may open at first; its tenants are.

mod support;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::surviving::Name;
use support::{script, spec};
use warden::protocol::{Mark, Report};

/// Fewer than the tenants need.
const OPEN_FILES: u64 = 200;

const TENANTS: u64 = 100;

/// One test alone: it changes the limit of the process.
#[test]
fn with_few_descriptors_for_the_host() {
    let limit = getrlimit(Resource::Nofile);
    let few = Rlimit { current: Some(OPEN_FILES), ..limit };
    setrlimit(Resource::Nofile, few).expect("a lower limit");
    let name = Name::new();
    assert!(name.start().success());
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .expect("a higher limit");
    let mut host = name.own();
    let mut tenant = host.start(1, &script("ulimit -n"));
    assert_eq!(tenant.stdout.rest(), format!("{OPEN_FILES}\n"));
    host.take(1);
    for run in 2..TENANTS + 2 {
        drop(host.launch(run, &spec(&["/bin/sleep", "1000"])));
    }
    for run in 2..TENANTS + 2 {
        assert!(matches!(host.report_about(run), Report::Started { .. }), "run {run}");
        host.mark(run, Mark::Ready, 0);
    }
    drop(host);
    let mut next = name.own();
    let told = next.told();
    assert_eq!(told.runs.len() as u64, TENANTS);
    assert!(told.runs.values().all(|found| found.pid != 0 && found.marks.ready));
    next.leave();
}
