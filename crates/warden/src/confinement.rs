//! The parts of a launch that hold its program within bounds: limits, control groups, a private
//! temporary directory, a user of its own, and walls.
//!
//! The default is none of these.

use std::ffi::CString;

use crate::spec::{put_strings, strings, take_word};

/// What a program is held within.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Limits that each process of the tree has for itself.
    pub limits: Vec<ResourceLimit>,
    /// The hierarchies in which the tenant gets a control group of its own.
    pub groups: Vec<Group>,
    /// The directory in which the tenant gets a private temporary directory. It is the tenant's
    /// `TMPDIR`, and gone after its end.
    pub temporary: Option<CString>,
    /// The user that the program runs as.
    pub user: Option<User>,
    /// What the program may reach, and no privileges.
    pub walls: Option<Walls>,
}

/// A limit of each process, soft and hard. One that the warden has itself is not raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimit {
    /// What is limited.
    pub resource: Resource,
    /// How much of it there may be.
    pub value: u64,
}

/// What a process may have so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Open descriptors.
    OpenFiles = 1,
    /// The size in bytes of a file that it writes.
    FileBytes = 2,
}

/// A control group of the tenant's in one hierarchy: a directory below `parent` that the warden
/// names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The version of the hierarchy.
    pub hierarchy: Hierarchy,
    /// The directory of the group above. The warden makes it if it is missing, and removes it with
    /// the last tenant.
    pub parent: CString,
    /// What is written into the group's files before a process enters it, in this order:
    /// `memory.max=268435456`.
    pub settings: Vec<CString>,
}

/// The version of a hierarchy of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// A tree of groups for each controller or a few of them.
    V1 = 1,
    /// One tree for all controllers.
    V2 = 2,
}

/// A user and its only group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

/// What a program within walls may reach. It has no privileges either, and gets none by executing
/// a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walls {
    /// System calls that no web app needs are refused.
    pub refuses_system_calls: bool,
    /// What Landlock allows; `None`: it restricts nothing.
    pub landlock: Option<Landlock>,
}

/// What Landlock allows, of all that its version can refuse. The private temporary directory is
/// allowed in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landlock {
    /// The version that the rules are written for; the kernel's is not lower.
    pub abi: u32,
    /// TCP ports that may be listened on.
    pub listen: Vec<u16>,
    /// TCP ports that may be connected to; `None`: all.
    pub connect: Option<Vec<u16>>,
    /// Files and directories, with all that is in them.
    pub paths: Vec<PathRule>,
}

/// What may be done below a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// What.
    pub access: Access,
    /// A start fails if the path is not there; otherwise the rule is left out then.
    pub is_required: bool,
    /// Absolute, or relative to the tenant's directory, which is `.` itself.
    pub path: CString,
}

/// What a rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read files and list directories.
    Read = 1,
    /// The same, and to execute programs.
    Execute = 2,
    /// Everything: to make, write, rename, remove, and execute, too.
    Write = 3,
    /// To read, write and control a device.
    Device = 4,
}

/// The kinds of numbers that are encoded as words.
macro_rules! words {
    ($($kind:ident { $($variant:ident),+ })+) => {$(
        impl $kind {
            fn of(word: u32) -> Option<$kind> {
                [$($kind::$variant),+].into_iter().find(|kind| *kind as u32 == word)
            }
        }
    )+};
}

words! {
    Resource { OpenFiles, FileBytes }
    Hierarchy { V1, V2 }
    Access { Read, Execute, Write, Device }
}

pub(crate) fn put_limits(body: &mut Vec<u8>, limits: &[ResourceLimit]) {
    for limit in limits {
        put_word(body, limit.resource as u32);
        body.extend(limit.value.to_le_bytes());
    }
}

pub(crate) fn limits(mut body: &[u8]) -> Option<Vec<ResourceLimit>> {
    let mut limits = Vec::new();
    while !body.is_empty() {
        let resource = Resource::of(take_word(&mut body)?)?;
        let (value, rest) = body.split_first_chunk()?;
        body = rest;
        limits.push(ResourceLimit { resource, value: u64::from_le_bytes(*value) });
    }
    (!limits.is_empty()).then_some(limits)
}

/// Each group is the version, the number of settings, and the strings.
pub(crate) fn put_groups(body: &mut Vec<u8>, groups: &[Group]) {
    for group in groups {
        put_word(body, group.hierarchy as u32);
        put_count(body, group.settings.len());
        put_strings(body, std::slice::from_ref(&group.parent));
        put_strings(body, &group.settings);
    }
}

pub(crate) fn groups(mut body: &[u8]) -> Option<Vec<Group>> {
    let mut groups = Vec::new();
    while !body.is_empty() {
        let hierarchy = Hierarchy::of(take_word(&mut body)?)?;
        let count = take_word(&mut body)?;
        let parent = take_string(&mut body)?;
        let settings = (0..count).map(|_| take_string(&mut body)).collect::<Option<_>>()?;
        groups.push(Group { hierarchy, parent, settings });
    }
    (!groups.is_empty()).then_some(groups)
}

pub(crate) fn put_user(body: &mut Vec<u8>, user: User) {
    put_word(body, user.uid);
    put_word(body, user.gid);
}

pub(crate) fn user(mut body: &[u8]) -> Option<User> {
    let user = User { uid: take_word(&mut body)?, gid: take_word(&mut body)? };
    body.is_empty().then_some(user)
}

/// Whether system calls are refused, then for Landlock its version, how many ports may be listened
/// on and these, the same of those to connect to (`u32::MAX`: all), and for each rule the access,
/// whether it is required, and the path.
pub(crate) fn put_walls(body: &mut Vec<u8>, walls: &Walls) {
    put_word(body, walls.refuses_system_calls.into());
    let Some(landlock) = &walls.landlock else { return };
    put_word(body, landlock.abi);
    put_ports(body, &landlock.listen);
    match &landlock.connect {
        Some(ports) => put_ports(body, ports),
        None => put_word(body, u32::MAX),
    }
    for rule in &landlock.paths {
        put_word(body, rule.access as u32);
        put_word(body, rule.is_required.into());
        put_strings(body, std::slice::from_ref(&rule.path));
    }
}

pub(crate) fn walls(mut body: &[u8]) -> Option<Walls> {
    let refuses_system_calls = take_flag(&mut body)?;
    if body.is_empty() {
        return Some(Walls { refuses_system_calls, landlock: None });
    }
    let abi = take_word(&mut body)?;
    let listen = take_ports(&mut body)??;
    let connect = take_ports(&mut body)?;
    let mut paths = Vec::new();
    while !body.is_empty() {
        paths.push(PathRule {
            access: Access::of(take_word(&mut body)?)?,
            is_required: take_flag(&mut body)?,
            path: take_string(&mut body)?,
        });
    }
    let landlock = Some(Landlock { abi, listen, connect, paths });
    Some(Walls { refuses_system_calls, landlock })
}

fn put_word(body: &mut Vec<u8>, word: u32) {
    body.extend(word.to_le_bytes());
}

/// A count beyond 4 G saturates, and the other end refuses it.
fn put_count(body: &mut Vec<u8>, count: usize) {
    put_word(body, u32::try_from(count).unwrap_or(u32::MAX));
}

fn put_ports(body: &mut Vec<u8>, ports: &[u16]) {
    put_count(body, ports.len());
    ports.iter().for_each(|port| put_word(body, u32::from(*port)));
}

/// The ports, or `None` for all of them.
fn take_ports(body: &mut &[u8]) -> Option<Option<Vec<u16>>> {
    match take_word(body)? {
        u32::MAX => Some(None),
        count => {
            let ports = (0..count).map(|_| u16::try_from(take_word(body)?).ok());
            Some(Some(ports.collect::<Option<_>>()?))
        }
    }
}

fn take_flag(body: &mut &[u8]) -> Option<bool> {
    match take_word(body)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn take_string(body: &mut &[u8]) -> Option<CString> {
    let end = body.iter().position(|byte| *byte == 0)? + 1;
    let (string, rest) = body.split_at(end);
    *body = rest;
    strings(string)?.pop()
}
