//! The names of what is made for tenants: each tells its warden, so that what a lost warden has
//! left is known by its name alone.

/// The name of a control group: the warden's pid, and the warden's count of groups.
pub fn group(warden: u32, count: u32) -> u64 {
    u64::from(warden) << u32::BITS | u64::from(count)
}

/// The pid of the warden that has made a control group of this name.
pub fn warden_of_group(name: &str) -> Option<u32> {
    let number: u64 = name.parse().ok()?;
    u32::try_from(number >> u32::BITS).ok().filter(|pid| *pid != 0)
}

/// What the names of the private temporary directories of a warden's tenants begin with.
pub fn temporary_prefix(warden: u32) -> String {
    format!("{warden}-")
}
