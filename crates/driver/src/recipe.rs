//! The program of a tenant that the warden spawns: its command, directory and environment, made
//! for each start.
//!
//! JavaScript hands down what it alone knows of the host whenever that has changed: the variables
//! that tenants get, and the Bun that the host runs in. While it has handed down no variables, it
//! is asked in each start (`Record::Prepare`): then a function of the user's is called in each
//! start, or the host's variables cannot be passed on as they are.

use crate::Driver;
use crate::confinement::Asked;
use crate::machine::{Engine, Machine};
use crate::tenant_settings::TenantSettings;
use linux::process::bun;
use linux::warden_link::run::Program;
use linux::warden_link::surroundings::Noted;
use pool::Failure;
use std::collections::HashMap;
use std::sync::Arc;
use warden::Confinement;

/// Variables of a tenant's environment, as `KEY=value`.
pub type Variables = Arc<[String]>;

/// The part of a program that is the same for all tenants of a runtime.
pub struct Recipe {
    /// The directory of the tenants' directories. Absolute, and without a slash at its end.
    pub root: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The command runs the start script of the tenant's directory: without one the start fails.
    pub runs_start_script: bool,
    /// The variables are the host's own, by default, and not what the user has said.
    pub has_default_env: bool,
    /// What tenants are held within.
    pub asked: Asked,
}

/// What JavaScript has handed down of the host.
#[derive(Default)]
pub(crate) struct Host {
    /// `None`: JavaScript is asked in each start.
    pub variables: Option<Variables>,
    /// The surroundings (rights, limits, umask) of JavaScript's thread at its last call that may
    /// lead to a start.
    pub noted: Option<Noted>,
    bun: Option<HostBun>,
    /// The results of searches for a Bun by `PATH`, since a search reads the file system.
    searched: HashMap<String, Search>,
}

/// Beyond so many values of `PATH` their results are dropped: a host has one or two.
const SEARCHED_PATHS_MAX: usize = 100;

/// The Bun that the host runs in.
#[derive(Clone)]
pub struct HostBun {
    pub path: String,
    /// The host was made by `bun build --compile`. Such a program is no Bun: it starts itself
    /// whatever its arguments are. With `BUN_BE_BUN` it would act as one, but a version of Bun
    /// that does not know this variable would start hosts without end, and a tenant that inherits
    /// it could not start compiled programs of its own.
    pub is_compiled: bool,
}

/// Where a tenant finds a Bun, which its start script may need, as `bun server.ts` does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Search {
    OnPath,
    /// Not on its `PATH`: the host's own Bun is used, which lies in this directory under the name
    /// `bun`, or under another name (`None`).
    FromHost {
        directory: Option<String>,
    },
    Nowhere,
}

/// The variables of one start that nothing overrides.
#[derive(Clone, Copy)]
pub(crate) struct OwnVariables<'a> {
    pub port: u16,
    /// Of the key's admission; `None` where all keys are admitted, and then a variable of this name is
    /// like any other.
    pub epoch: Option<&'a str>,
}

impl OwnVariables<'_> {
    fn has(self, variable: &str) -> bool {
        variable.starts_with("PORT=")
            || variable.starts_with("NODE_ENV=")
            || self.epoch.is_some() && variable.starts_with("ABSOLUTE_EPOCH=")
    }

    fn lines(self) -> impl Iterator<Item = String> {
        let epoch = self.epoch.map(|epoch| format!("ABSOLUTE_EPOCH={epoch}"));
        ["NODE_ENV=production".to_owned(), format!("PORT={}", self.port)].into_iter().chain(epoch)
    }
}

impl Recipe {
    /// The directory of the key's tenant.
    pub(crate) fn directory_of(&self, key: &str) -> String {
        let separator = if self.root.ends_with('/') { "" } else { "/" };
        format!("{}{separator}{key}", self.root)
    }

    /// The program of the tenant with these variables, and with those that are set here whatever they
    /// say.
    fn program(
        &self,
        key: &str,
        own: OwnVariables<'_>,
        variables: &[String],
        its: Option<&TenantSettings>,
    ) -> Program {
        let its_command = its.and_then(|its| its.command.as_ref());
        Program {
            directory: self.directory_of(key),
            command: its_command.unwrap_or(&self.command).clone(),
            environment: variables
                .iter()
                .filter(|variable| !own.has(variable))
                .cloned()
                .chain(own.lines())
                .collect(),
            has_path: variables.iter().any(|variable| variable.starts_with("PATH=")),
            runs_start_script: self.runs_start_script && its_command.is_none(),
            confinement: Confinement::default(),
            umask: None,
            kept: None,
        }
    }
}

impl HostBun {
    /// Looks where a tenant with this `PATH` finds a Bun. Reads the file system, which may be
    /// slow.
    fn search(&self, path: &str) -> Search {
        if bun::is_on_path(path, self.is_compiled.then_some(&self.path)) {
            Search::OnPath
        } else if self.is_compiled {
            Search::Nowhere
        } else {
            Search::FromHost { directory: bun::directory_of(&self.path) }
        }
    }

    /// Makes `bun` available to a tenant whose `PATH` has none: Bun does not add itself to `PATH`.
    /// An error: the command is `bun`, and there is none.
    fn add_to(&self, program: &mut Program, found: Search) -> Result<(), Failure> {
        let is_bun = program.command[0] == "bun";
        match found {
            Search::OnPath => {}
            Search::Nowhere if is_bun => {
                return Err(Failure::NoBun { path: path_of(program).map(str::to_owned) });
            }
            Search::Nowhere => {}
            Search::FromHost { directory } => {
                if let Some(directory) = directory {
                    add_to_path(program, &directory);
                }
                if is_bun {
                    program.command[0].clone_from(&self.path);
                }
            }
        }
        Ok(())
    }
}

impl<M: Machine> Driver<M> {
    /// Sets the variables of tenants that are started from now on. `None`: JavaScript is asked in
    /// each start.
    pub fn set_variables(&self, variables: Option<Vec<String>>) {
        self.lock().host.variables = variables.map(Variables::from);
    }

    /// Notes the surroundings of JavaScript's thread, which is about to make a call that may lead
    /// to a start, at once or later: the process then gets the umask of this moment.
    pub fn note_host(&self) {
        let noted = Noted::here();
        self.lock().host.noted = Some(noted);
    }

    /// Sets the Bun that the host runs in.
    pub fn set_bun(&self, bun: HostBun) {
        self.lock().host.bun = Some(bun);
    }

    /// The tenant's program. A Bun may have to be searched for, on the thread for slow work. An
    /// error: there is no Bun for it.
    pub(crate) async fn program(
        &self,
        engine: &M::Engine,
        key: &str,
        own: OwnVariables<'_>,
        variables: &[String],
        its: Option<&TenantSettings>,
    ) -> Result<Program, Failure> {
        let mut program = self.settings.recipe.program(key, own, variables, its);
        let path = path_of(&program).unwrap_or_default().to_owned();
        let (bun, known) = {
            let host = &self.lock().host;
            (host.bun.clone(), host.searched.get(&path).cloned())
        };
        let Some(bun) = bun else { return Ok(program) };
        let found = match known {
            Some(found) => found,
            None => self.search(engine, bun.clone(), path).await,
        };
        bun.add_to(&mut program, found)?;
        Ok(program)
    }

    /// Searches this `PATH` for a Bun, and keeps the result.
    async fn search(&self, engine: &M::Engine, bun: HostBun, path: String) -> Search {
        let (searching, searched) = (bun.clone(), path.clone());
        let found = engine.off_thread(move || searching.search(&searched)).await;
        // Without a thread for slow work the search is made on this one.
        let found = found.unwrap_or_else(|_| bun.search(&path));
        let searched = &mut self.lock().host.searched;
        if searched.len() >= SEARCHED_PATHS_MAX {
            searched.clear();
        }
        searched.insert(path, found.clone());
        found
    }
}

pub(crate) fn path_of(program: &Program) -> Option<&str> {
    program.environment.iter().find_map(|variable| variable.strip_prefix("PATH="))
}

fn add_to_path(program: &mut Program, directory: &str) {
    let path = program.environment.iter_mut().find(|variable| variable.starts_with("PATH="));
    match path {
        Some(path) if path == "PATH=" => path.push_str(directory),
        Some(path) => path.extend([":", directory]),
        None => program.environment.push(format!("PATH={directory}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(root: &str) -> Recipe {
        let command = ["bun", "run", "start"].map(str::to_owned).to_vec();
        Recipe {
            root: root.to_owned(),
            command,
            runs_start_script: true,
            has_default_env: true,
            asked: Asked::default(),
        }
    }

    fn own(port: u16, epoch: Option<&str>) -> OwnVariables<'_> {
        OwnVariables { port, epoch }
    }

    fn program(variables: &[&str]) -> Program {
        let variables: Vec<String> =
            variables.iter().map(|&variable| variable.to_owned()).collect();
        recipe("/srv").program("org/app", own(4_000, None), &variables, None)
    }

    fn bun(is_compiled: bool) -> HostBun {
        HostBun { path: "/opt/host".to_owned(), is_compiled }
    }

    #[test]
    fn a_tenants_directory_is_its_key_below_the_root() {
        assert_eq!(program(&[]).directory, "/srv/org/app");
        assert_eq!(recipe("/").program("app", own(1, None), &[], None).directory, "/app");
    }

    #[test]
    fn port_and_node_env_replace_the_given_ones() {
        let environment = program(&["PORT=1", "A=PORT=2", "NODE_ENV=test", "PORTS=3"]).environment;
        assert_eq!(environment, ["A=PORT=2", "PORTS=3", "NODE_ENV=production", "PORT=4000"]);
    }

    #[test]
    fn an_epoch_replaces_the_given_one() {
        let variables = ["ABSOLUTE_EPOCH=1".to_owned(), "A=2".to_owned()];
        let environment =
            |epoch| recipe("/srv").program("app", own(4_000, epoch), &variables, None).environment;
        let with = ["A=2", "NODE_ENV=production", "PORT=4000", "ABSOLUTE_EPOCH=27"];
        assert_eq!(environment(Some("27")), with);
        assert_eq!(environment(None)[..2], ["ABSOLUTE_EPOCH=1", "A=2"]);
    }

    #[test]
    fn a_bun_on_path_is_used() {
        for is_compiled in [false, true] {
            let mut program = program(&["PATH=/usr/bin"]);
            bun(is_compiled).add_to(&mut program, Search::OnPath).unwrap();
            assert_eq!((path_of(&program), &program.command[0][..]), (Some("/usr/bin"), "bun"));
        }
    }

    #[test]
    fn the_hosts_bun_is_used_if_none_is_on_path() {
        let directory = Some("/opt".to_owned());
        for (variables, path) in
            [(&["PATH=/bin"][..], "/bin:/opt"), (&["PATH="], "/opt"), (&["A=1"], "/opt")]
        {
            let mut program = program(variables);
            bun(false)
                .add_to(&mut program, Search::FromHost { directory: directory.clone() })
                .unwrap();
            assert_eq!(path_of(&program), Some(path));
            assert_eq!(program.command, ["/opt/host", "run", "start"]);
        }
        let mut other = Program { command: vec!["node".to_owned()], ..program(&["PATH=/bin"]) };
        bun(false).add_to(&mut other, Search::FromHost { directory: None }).unwrap();
        assert_eq!((path_of(&other), &other.command[0][..]), (Some("/bin"), "node"));
    }

    #[test]
    fn a_compiled_host_is_not_used_as_bun() {
        let refused = bun(true).add_to(&mut program(&["PATH=/bin"]), Search::Nowhere);
        assert_eq!(refused, Err(Failure::NoBun { path: Some("/bin".to_owned()) }));
        assert_eq!(
            bun(true).add_to(&mut program(&[]), Search::Nowhere),
            Err(Failure::NoBun { path: None })
        );
        let mut other = Program { command: vec!["node".to_owned()], ..program(&["PATH=/bin"]) };
        assert_eq!(bun(true).add_to(&mut other, Search::Nowhere), Ok(()));
        assert_eq!(path_of(&other), Some("/bin"));
    }
}
