//! What a tenant is held within: limits and walls, made into the parts of its launch.
//!
//! What is asked for is either the same for all tenants of a runtime ([`Recipe`]), or said for each
//! start ([`TenantSettings`]). A start without either passes by all of this.
//!
//! [`Recipe`]: crate::recipe::Recipe

use crate::Driver;
use crate::machine::{Engine, Machine};
use crate::recipe::path_of;
use crate::tenant_settings::TenantSettings;
use crate::users::Users;
use linux::confine::{self, InForce, Isolation, Limits, StartFacts, support};
use linux::process::bun;
use linux::warden_link::run::Program;
use pool::{Failure, RunId};
use std::ffi::CString;
use warden::confinement::Group;

/// Programs that start scripts execute beside those of the system.
const EXECUTED: [&str; 2] = ["bun", "node"];

/// Variables of the host that name directories which a tenant within walls cannot reach.
const UNREACHABLE: [&str; 4] =
    ["BUN_INSTALL=", "BUN_TMPDIR=", "BUN_RUNTIME_TRANSPILER_CACHE_PATH=", "XDG_CACHE_HOME="];

/// What tenants are to be held within. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    pub limits: Option<Limits>,
    /// Its user is in `users`.
    pub isolation: Option<Isolation>,
    /// Whom tenants run as within walls; `None`: as the host.
    pub users: Option<Users>,
}

/// What one tenant is held within.
pub(crate) struct Confined {
    pub in_force: InForce,
    /// Where it has its control groups.
    pub groups: Vec<Group>,
    /// Where it has its private temporary directory.
    pub temporary: Option<CString>,
}

impl Asked {
    /// Why this host cannot keep it of the tenants in this directory, with what to change; `None` if it can, as far as that can be
    /// seen before a start.
    pub fn problem(&self, root: &str) -> Option<String> {
        let mut asked = self.without_user(root);
        if let Some((isolation, users)) = asked.isolation.as_mut().zip(self.users) {
            isolation.user = Some(users.first());
            isolation.is_own_user = matches!(users, Users::Range { .. });
        }
        support().check(&asked).err().map(|unsupported| unsupported.to_string())
    }

    fn is_nothing(&self) -> bool {
        self.limits.is_none() && self.isolation.is_none()
    }

    fn without_user(&self, root: &str) -> confine::Asked {
        let root = Some(root.to_owned());
        let isolation = self.isolation.clone().map(|isolation| Isolation { root, ..isolation });
        confine::Asked { limits: self.limits.clone(), isolation }
    }

    /// What is asked for the tenant in this directory. An error, for people: there is no user for
    /// it.
    fn of(&self, directory: &str, root: &str) -> Result<confine::Asked, String> {
        let mut asked = self.without_user(root);
        if let Some((isolation, users)) = asked.isolation.as_mut().zip(self.users) {
            let assigned = users.of(directory)?;
            isolation.user = Some(assigned.user);
            isolation.is_own_user = assigned.is_own;
        }
        Ok(asked)
    }
}

impl<M: Machine> Driver<M> {
    /// What a run with these settings is to be held within; `None`: nothing.
    pub(crate) fn asked<'a>(&'a self, its: Option<&'a TenantSettings>) -> Option<&'a Asked> {
        let asked = its.map_or(&self.settings.recipe.asked, |its| &its.asked);
        (!asked.is_nothing()).then_some(asked)
    }

    /// The program, held within what is asked for. Notes what of that is in force. An error: this
    /// host cannot keep it, or there is no user for the tenant.
    pub(crate) async fn confine(
        &self,
        engine: &M::Engine,
        run: RunId,
        mut program: Program,
        asked: &Asked,
        port: u16,
        its: Option<&TenantSettings>,
    ) -> Result<Program, Failure> {
        let not_started = |reason: String| Failure::NotStarted { reason };
        let asked =
            asked.of(&program.directory, &self.settings.recipe.root).map_err(not_started)?;
        let support = support();
        engine.predecessors_gone().await;
        let in_force = support
            .take(&asked)
            .map_err(|unsupported| Failure::Unsupported { reason: unsupported.to_string() })?;
        let mut programs = Vec::new();
        if asked.isolation.is_some() {
            programs = programs_of(engine, &program).await;
            if its.map_or(self.settings.recipe.has_default_env, |its| its.has_default_env) {
                move_home(&mut program);
            }
        }
        let parts = support.confinement(&asked, &StartFacts { port, programs: &programs });
        let parts = parts.map_err(|error| not_started(error.to_string()))?;
        let (groups, temporary) =
            (parts.confinement.groups.clone(), parts.confinement.temporary.clone());
        program.confinement = parts.confinement;
        program.umask = parts.umask;
        if let Some(handle) = self.lock().runs.get_mut(&run) {
            handle.confined = Some(Box::new(Confined { in_force, groups, temporary }));
        }
        Ok(program)
    }

    /// What the run is held within; `None`: nothing, or it is over.
    pub fn in_force(&self, run: RunId) -> Option<InForce> {
        Some(self.lock().runs.get(&run)?.confined.as_ref()?.in_force.clone())
    }

    /// The bytes of memory that the run's tree may have; `None`: any number.
    pub(crate) fn memory_limit(&self, run: RunId) -> Option<u64> {
        let core = self.lock();
        let limits = &core.runs.get(&run)?.confined.as_ref()?.in_force.limits;
        Some(limits.iter().find(|limit| limit.name == "memoryBytes")?.value as u64)
    }
}

/// The files of the programs that a tenant executes, as its `PATH` has them. They are looked for in
/// each start, since an upgrade may have moved them, and on the thread for slow work, since their
/// file system may be slow.
async fn programs_of<E: Engine>(engine: &E, program: &Program) -> Vec<String> {
    let path = path_of(program).unwrap_or_default().to_owned();
    let command = program.command[0].clone();
    let look = move || {
        let names = [command.as_str()].into_iter().chain(EXECUTED);
        names.filter_map(|name| bun::file_of(name, &path)).collect()
    };
    engine.off_thread(look).await.unwrap_or_default()
}

/// Makes the host's variables, which the tenant has by default, those of a tenant within walls:
/// its home is its directory, since it cannot reach the host's.
pub(crate) fn move_home(program: &mut Program) {
    let Program { environment, directory, .. } = program;
    environment.retain(|variable| {
        !variable.starts_with("HOME=") && !UNREACHABLE.iter().any(|name| variable.starts_with(name))
    });
    environment.push(format!("HOME={directory}"));
}
