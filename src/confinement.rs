//! Limits and walls, as `lib/confinement.js` has read them, and what of them is in force.

use super::guarded;
use driver::confinement::Asked;
use driver::users::Users;
use linux::confine::{InForce, Isolation, Limits, User};
use napi::Result;
use napi_derive::napi;

#[napi(object, object_to_js = false)]
pub struct NativeLimits {
    pub memory_bytes: Option<f64>,
    pub swap_bytes: Option<f64>,
    pub cpus: Option<f64>,
    pub cpu_weight: Option<f64>,
    pub processes: Option<f64>,
    pub open_files: Option<f64>,
    pub file_bytes: Option<f64>,
    pub is_required: bool,
}

#[napi(object, object_to_js = false)]
pub struct NativeIsolation {
    pub read: Vec<String>,
    pub write: Vec<String>,
    pub listen: Vec<u32>,
    pub connect: Option<Vec<u32>>,
    pub user: Option<NativeUsers>,
    pub is_required: bool,
}

/// A user and its group, or the first user and how many there are.
#[napi(object, object_to_js = false)]
pub struct NativeUsers {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub first: Option<u32>,
    pub count: Option<u32>,
}

#[napi(object, object_from_js = false)]
pub struct NativeInForce {
    pub limits: Vec<NativeLimitInForce>,
    pub isolation: Option<NativeIsolationInForce>,
}

#[napi(object, object_from_js = false)]
pub struct NativeLimitInForce {
    pub name: String,
    pub value: f64,
    pub by: String,
}

#[napi(object, object_from_js = false)]
pub struct NativeIsolationInForce {
    pub landlock: Option<u32>,
    pub seccomp: bool,
    pub user: Option<u32>,
    pub missing: Vec<String>,
}

/// Why this host cannot keep these limits and walls of the tenants in this directory, for people,
/// with what to change; `None` if it can.
#[napi]
pub fn confinement_problem(
    limits: Option<NativeLimits>,
    isolation: Option<NativeIsolation>,
    root: String,
) -> Result<Option<String>> {
    guarded(|| asked(limits, isolation).problem(&root))
}

/// What is asked for.
pub fn asked(limits: Option<NativeLimits>, isolation: Option<NativeIsolation>) -> Asked {
    let users = isolation.as_ref().and_then(|isolation| isolation.user.as_ref()?.users());
    Asked {
        limits: limits.map(NativeLimits::limits),
        isolation: isolation.map(NativeIsolation::isolation),
        users,
    }
}

impl NativeLimits {
    fn limits(self) -> Limits {
        // All of them are whole numbers but for `cpus`.
        let whole = |number: f64| number as u64;
        Limits {
            memory_bytes: self.memory_bytes.map(whole),
            swap_bytes: self.swap_bytes.map(whole),
            cpus: self.cpus,
            cpu_weight: self.cpu_weight.map(|weight| weight as u32),
            processes: self.processes.map(whole),
            open_files: self.open_files.map(whole),
            file_bytes: self.file_bytes.map(whole),
            is_required: self.is_required,
        }
    }
}

impl NativeIsolation {
    fn isolation(self) -> Isolation {
        let ports = |ports: Vec<u32>| ports.into_iter().map(|port| port as u16).collect();
        Isolation {
            root: None,
            read: self.read,
            write: self.write,
            listen: ports(self.listen),
            connect: self.connect.map(ports),
            user: None,
            is_own_user: false,
            is_required: self.is_required,
        }
    }
}

impl NativeUsers {
    fn users(&self) -> Option<Users> {
        let one = self.uid.zip(self.gid).map(|(uid, gid)| Users::One(User { uid, gid }));
        let range = self.first.zip(self.count);
        one.or(range.map(|(first, count)| Users::Range { first, count }))
    }
}

impl From<InForce> for NativeInForce {
    fn from(InForce { limits, isolation }: InForce) -> NativeInForce {
        let limits = limits.into_iter().map(|limit| NativeLimitInForce {
            name: limit.name.to_owned(),
            value: limit.value,
            by: limit.by.word().to_owned(),
        });
        let isolation = isolation.map(|isolation| NativeIsolationInForce {
            landlock: isolation.landlock,
            seccomp: isolation.seccomp,
            user: isolation.user,
            missing: isolation.missing.into_iter().map(str::to_owned).collect(),
        });
        NativeInForce { limits: limits.collect(), isolation }
    }
}
