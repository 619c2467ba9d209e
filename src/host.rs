//! The facts of this machine, this process and its limits, for the doctor: `lib/doctor/facts.js`
//! describes each field. No limit is `Infinity`; facts that cannot be read, or do not exist, are
//! left out.

use super::guarded;
use linux::confine::{self, Foreseen, Reason};
use linux::host::{self, Bounds, Hierarchy, Host, Stall};
use napi::bindgen_prelude::*;
use napi_derive::napi;

#[napi(object, object_from_js = false)]
pub struct NativeHost {
    pub machine: NativeMachine,
    pub process: NativeProcess,
    pub memory: Option<NativeMemory>,
    pub swaps: Vec<String>,
    pub pressure: NativePressure,
    pub groups: NativeGroups,
    pub proc: NativeProc,
    pub temporary: Option<NativeTemporary>,
    pub init: NativeInit,
    pub confinement: NativeConfinement,
}

#[napi(object, object_from_js = false)]
pub struct NativeConfinement {
    pub limits: Vec<NativePromise>,
    pub landlock: Option<u32>,
    pub refuses_system_calls: bool,
    pub missing: Vec<NativePromise>,
    pub users: NativePromise,
}

#[napi(object, object_from_js = false)]
pub struct NativePromise {
    pub name: String,
    pub by: Option<String>,
    pub why: Option<String>,
    pub change: Option<String>,
}

#[napi(object, object_from_js = false)]
pub struct NativeMachine {
    pub kernel_release: Option<String>,
    pub pid_max: Option<f64>,
    pub threads_max: Option<f64>,
    pub tasks: Option<f64>,
    pub open_files: Option<f64>,
    pub open_files_max: Option<f64>,
    pub backlog_max: Option<f64>,
    pub ports: NativePorts,
}

#[napi(object, object_from_js = false)]
pub struct NativePorts {
    pub first: u32,
    pub last: u32,
    pub reserved: u32,
}

#[napi(object, object_from_js = false)]
pub struct NativeProcess {
    pub open_files: NativeBounds,
    pub processes: NativeBounds,
    pub has_no_new_privileges: bool,
    pub has_seccomp_filter: bool,
    pub oom_score_adj: i32,
}

#[napi(object, object_from_js = false)]
pub struct NativeBounds {
    pub soft: f64,
    pub hard: f64,
}

#[napi(object, object_from_js = false)]
pub struct NativeMemory {
    pub total_bytes: f64,
    pub available_bytes: f64,
}

#[napi(object, object_from_js = false)]
pub struct NativePressure {
    pub cpu: Option<NativeStall>,
    pub memory: Option<NativeStall>,
    pub io: Option<NativeStall>,
}

#[napi(object, object_from_js = false)]
pub struct NativeStall {
    pub some: Vec<f64>,
    pub full: Option<Vec<f64>>,
}

#[napi(object, object_from_js = false)]
pub struct NativeGroups {
    pub has_v1: bool,
    pub has_v2: bool,
    pub memberships: Vec<NativeMembership>,
    pub memory: Option<NativeMemoryLimit>,
    pub tasks: Option<NativeTaskLimit>,
    pub cpu: Option<NativeCpuLimit>,
    pub killed_as_one: Option<String>,
    pub without_swap: Option<String>,
}

#[napi(object, object_from_js = false)]
pub struct NativeMembership {
    pub version: u32,
    pub controllers: Vec<String>,
    pub paths: Vec<String>,
    pub is_writable: bool,
}

#[napi(object, object_from_js = false)]
pub struct NativeMemoryLimit {
    pub limit_bytes: f64,
    pub free_bytes: f64,
    pub path: String,
}

#[napi(object, object_from_js = false)]
pub struct NativeTaskLimit {
    pub limit: f64,
    pub used: f64,
    pub path: String,
}

#[napi(object, object_from_js = false)]
pub struct NativeCpuLimit {
    pub cores: f64,
    pub path: String,
}

#[napi(object, object_from_js = false)]
pub struct NativeProc {
    pub is_mounted: bool,
    pub hidden: Option<String>,
    pub lists_children: bool,
}

#[napi(object, object_from_js = false)]
pub struct NativeTemporary {
    pub path: String,
    pub file_system: String,
    pub is_noexec: bool,
}

#[napi(object, object_from_js = false)]
pub struct NativeInit {
    pub name: Option<String>,
    pub groups: Vec<String>,
    pub unreaped: Vec<u32>,
}

/// Reads the facts. Takes some milliseconds.
#[napi]
pub fn read_host() -> Result<NativeHost> {
    guarded(|| NativeHost::from(Host::look()))
}

impl From<Host> for NativeHost {
    fn from(host: Host) -> Self {
        let Host { machine, process, memory, swaps, pressure, proc, temporary, init, .. } = &host;
        NativeHost {
            machine: machine.into(),
            process: process.into(),
            memory: memory.map(|memory| NativeMemory {
                total_bytes: memory.total_bytes as f64,
                available_bytes: memory.available_bytes as f64,
            }),
            swaps: swaps.clone(),
            pressure: NativePressure {
                cpu: pressure.cpu.map(Into::into),
                memory: pressure.memory.map(Into::into),
                io: pressure.io.map(Into::into),
            },
            groups: groups(&host),
            proc: NativeProc {
                is_mounted: proc.is_mounted,
                hidden: proc.hidden.as_ref().map(ToString::to_string),
                lists_children: proc.lists_children,
            },
            temporary: temporary.as_ref().map(|temporary| NativeTemporary {
                path: temporary.path.clone(),
                file_system: temporary.file_system.clone(),
                is_noexec: temporary.is_noexec,
            }),
            init: NativeInit {
                name: init.name.clone(),
                groups: init.groups.clone(),
                unreaped: init.unreaped.clone(),
            },
            confinement: confine::support().foresee().into(),
        }
    }
}

impl From<Foreseen> for NativeConfinement {
    fn from(Foreseen { limits, isolation, broken, no_users }: Foreseen) -> Self {
        let promise = |name: &str, by: Option<&str>, reason: Option<Reason>| {
            let (why, change) = reason.map(|Reason { why, change, .. }| (why, change)).unzip();
            NativePromise { name: name.to_owned(), by: by.map(str::to_owned), why, change }
        };
        let limits = limits.into_iter().map(|(limit, reason)| {
            let by = reason.is_none().then(|| limit.by.word());
            promise(limit.name, by, reason)
        });
        let missing = isolation.missing.iter().zip(broken);
        NativeConfinement {
            limits: limits.collect(),
            landlock: isolation.landlock,
            refuses_system_calls: isolation.seccomp,
            missing: missing.map(|(name, reason)| promise(name, None, Some(reason))).collect(),
            users: promise("user", None, no_users),
        }
    }
}

impl From<&host::Machine> for NativeMachine {
    fn from(machine: &host::Machine) -> Self {
        let number = |number: Option<u64>| number.map(|number| number as f64);
        NativeMachine {
            kernel_release: machine.kernel_release.clone(),
            pid_max: number(machine.pid_max),
            threads_max: number(machine.threads_max),
            tasks: number(machine.tasks),
            open_files: number(machine.open_files),
            open_files_max: number(machine.open_files_max),
            backlog_max: number(machine.backlog_max),
            ports: NativePorts {
                first: machine.ports.first.into(),
                last: machine.ports.last.into(),
                reserved: machine.ports.reserved as u32,
            },
        }
    }
}

impl From<&host::Process> for NativeProcess {
    fn from(process: &host::Process) -> Self {
        NativeProcess {
            open_files: process.open_files.into(),
            processes: process.processes.into(),
            has_no_new_privileges: process.has_no_new_privileges,
            has_seccomp_filter: process.has_seccomp_filter,
            oom_score_adj: process.oom_score_adj,
        }
    }
}

impl From<Bounds> for NativeBounds {
    fn from(bounds: Bounds) -> Self {
        let number = |limit: Option<u64>| limit.map_or(f64::INFINITY, |limit| limit as f64);
        NativeBounds { soft: number(bounds.soft), hard: number(bounds.hard) }
    }
}

impl From<Stall> for NativeStall {
    fn from(stall: Stall) -> Self {
        let numbers = |shares: [f32; 3]| shares.map(f64::from).to_vec();
        NativeStall { some: numbers(stall.some), full: stall.full.map(numbers) }
    }
}

fn groups(host: &Host) -> NativeGroups {
    let limits = &host.group_limits;
    NativeGroups {
        has_v1: host.groups.has(Hierarchy::V1),
        has_v2: host.groups.has(Hierarchy::V2),
        memberships: host.groups.0.iter().map(Into::into).collect(),
        memory: limits.memory.as_ref().map(|limit| NativeMemoryLimit {
            limit_bytes: limit.limit_bytes as f64,
            free_bytes: limit.free_bytes() as f64,
            path: limit.path.clone(),
        }),
        tasks: limits.tasks.as_ref().map(|limit| NativeTaskLimit {
            limit: limit.limit as f64,
            used: limit.used as f64,
            path: limit.path.clone(),
        }),
        cpu: limits
            .cpu
            .as_ref()
            .map(|limit| NativeCpuLimit { cores: limit.cores, path: limit.path.clone() }),
        killed_as_one: limits.killed_as_one.clone(),
        without_swap: limits.without_swap.clone(),
    }
}

impl From<&host::Membership> for NativeMembership {
    fn from(membership: &host::Membership) -> Self {
        NativeMembership {
            version: match membership.hierarchy {
                Hierarchy::V1 => 1,
                Hierarchy::V2 => 2,
            },
            controllers: membership.controllers.clone(),
            paths: membership.paths.clone(),
            is_writable: membership.is_writable,
        }
    }
}
