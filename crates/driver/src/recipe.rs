//! What a tenant of ours is started with: its command, its directory and its environment, worked out in each start.
//!
//! What only JavaScript knows of the host it hands down when that has changed: the variables that tenants get, and the Bun
//! that the host runs in. While it has handed down no variables it is asked in each start (`Record::Prepare`): a function
//! of the user's has a say, or the host's variables cannot be passed on as they are.

use crate::Driver;
use crate::machine::{Engine, Machine};
use linux::process::bun;
use linux::warden_link::run::Program;
use linux::warden_link::surroundings::Noted;
use pool::Failure;
use std::collections::HashMap;
use std::sync::Arc;

/// Variables of a tenant's environment, as `KEY=value`.
pub type Variables = Arc<[String]>;

/// What is the same for all tenants of a runtime.
pub struct Recipe {
    /// The tenants' directories are below it. Absolute, and without a slash at its end.
    pub root: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The command runs the start script of the tenant's directory, which has to have one.
    pub runs_start_script: bool,
}

/// What JavaScript has handed down.
#[derive(Default)]
pub(crate) struct Host {
    /// `None`: JavaScript is asked in each start.
    pub variables: Option<Variables>,
    /// Of JavaScript's thread, at its last call that a start may come of.
    pub noted: Option<Noted>,
    bun: Option<HostsBun>,
    /// What is on a `PATH` seldom changes, and not every start is to search it.
    searched: HashMap<String, Search>,
}

const SEARCHED_PATHS_MAX: usize = 100;

/// The Bun that the host runs in.
#[derive(Clone)]
pub struct HostsBun {
    pub path: String,
    /// The host was made by `bun build --compile`. It is no Bun: whatever it is started with, it starts itself. Told by
    /// `BUN_BE_BUN` it would act as one, but a Bun that does not know this variable would start hosts without end, and a
    /// tenant that inherits it could start no program of that kind any more.
    pub is_compiled: bool,
}

/// What was found for a tenant whose start script may need a Bun, as `bun server.ts` does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Search {
    OnPath,
    /// Not there, but the host is one, and may be called `bun` in a directory.
    TheHosts {
        directory: Option<String>,
    },
    Nowhere,
}

impl Recipe {
    /// What starts the tenant with these variables. `PORT` and `NODE_ENV` are always ours.
    fn program(&self, key: &str, port: u16, variables: &[String]) -> Program {
        let separator = if self.root.ends_with('/') { "" } else { "/" };
        let is_ours = |variable: &String| variable.starts_with("PORT=") || variable.starts_with("NODE_ENV=");
        let ours = ["NODE_ENV=production".to_owned(), format!("PORT={port}")];
        Program {
            directory: format!("{}{separator}{key}", self.root),
            command: self.command.clone(),
            environment: variables
                .iter()
                .filter(|variable| !is_ours(variable))
                .cloned()
                .chain(ours)
                .collect(),
            runs_start_script: self.runs_start_script,
        }
    }
}

impl HostsBun {
    /// Looks where a tenant with this `PATH` finds a Bun. It may take as long as a file system does to answer.
    fn search(&self, path: &str) -> Search {
        if bun::is_on_path(path, self.is_compiled.then_some(&self.path)) {
            Search::OnPath
        } else if self.is_compiled {
            Search::Nowhere
        } else {
            Search::TheHosts { directory: bun::directory_of(&self.path) }
        }
    }

    /// Makes `bun` available to a tenant whose `PATH` does not lead to one: Bun does not put itself there.
    fn add_to(&self, program: &mut Program, found: Search) -> Result<(), Failure> {
        let is_bun = program.command[0] == "bun";
        match found {
            Search::OnPath => {}
            Search::Nowhere if is_bun => {
                return Err(Failure::NoBun { path: path_of(program).map(str::to_owned) });
            }
            Search::Nowhere => {}
            Search::TheHosts { directory } => {
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
    /// What tenants get from now on. `None`: JavaScript is to be asked in each start.
    pub fn set_variables(&self, variables: Option<Vec<String>>) {
        self.lock().host.variables = variables.map(Variables::from);
    }

    /// JavaScript's thread is about to make a call that a start may come of, at once or later, which then has the umask of
    /// this moment.
    pub fn note_host(&self) {
        let noted = Noted::here();
        self.lock().host.noted = Some(noted);
    }

    /// The host runs in this Bun.
    pub fn set_bun(&self, bun: HostsBun) {
        self.lock().host.bun = Some(bun);
    }

    /// What starts the tenant. It may have to be searched for, off all threads that have something else to do.
    pub(crate) async fn program(
        &self,
        engine: &M::Engine,
        key: &str,
        port: u16,
        variables: &[String],
    ) -> Result<Program, Failure> {
        let mut program = self.settings.recipe.program(key, port, variables);
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

    async fn search(&self, engine: &M::Engine, bun: HostsBun, path: String) -> Search {
        let (searching, searched) = (bun.clone(), path.clone());
        let found = engine.off_thread(move || searching.search(&searched)).await;
        // Without a thread to spare it is done here.
        let found = found.unwrap_or_else(|_| bun.search(&path));
        let searched = &mut self.lock().host.searched;
        if searched.len() >= SEARCHED_PATHS_MAX {
            searched.clear();
        }
        searched.insert(path, found.clone());
        found
    }
}

fn path_of(program: &Program) -> Option<&str> {
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
        Recipe { root: root.to_owned(), command, runs_start_script: true }
    }

    fn program(variables: &[&str]) -> Program {
        let variables: Vec<String> = variables.iter().map(|&variable| variable.to_owned()).collect();
        recipe("/srv").program("org/app", 4_000, &variables)
    }

    fn bun(is_compiled: bool) -> HostsBun {
        HostsBun { path: "/opt/host".to_owned(), is_compiled }
    }

    #[test]
    fn a_tenants_directory_is_its_key_below_the_root() {
        assert_eq!(program(&[]).directory, "/srv/org/app");
        assert_eq!(recipe("/").program("app", 1, &[]).directory, "/app");
    }

    #[test]
    fn port_and_node_env_are_ours() {
        let environment = program(&["PORT=1", "A=PORT=2", "NODE_ENV=test", "PORTS=3"]).environment;
        assert_eq!(environment, ["A=PORT=2", "PORTS=3", "NODE_ENV=production", "PORT=4000"]);
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
    fn the_hosts_bun_stands_in_for_one_that_is_not_on_path() {
        let directory = Some("/opt".to_owned());
        for (variables, path) in [(&["PATH=/bin"][..], "/bin:/opt"), (&["PATH="], "/opt"), (&["A=1"], "/opt")]
        {
            let mut program = program(variables);
            bun(false).add_to(&mut program, Search::TheHosts { directory: directory.clone() }).unwrap();
            assert_eq!(path_of(&program), Some(path));
            assert_eq!(program.command, ["/opt/host", "run", "start"]);
        }
        let mut other = Program { command: vec!["node".to_owned()], ..program(&["PATH=/bin"]) };
        bun(false).add_to(&mut other, Search::TheHosts { directory: None }).unwrap();
        assert_eq!((path_of(&other), &other.command[0][..]), (Some("/bin"), "node"));
    }

    #[test]
    fn a_compiled_host_stands_in_for_nothing() {
        let refused = bun(true).add_to(&mut program(&["PATH=/bin"]), Search::Nowhere);
        assert_eq!(refused, Err(Failure::NoBun { path: Some("/bin".to_owned()) }));
        assert_eq!(bun(true).add_to(&mut program(&[]), Search::Nowhere), Err(Failure::NoBun { path: None }));
        let mut other = Program { command: vec!["node".to_owned()], ..program(&["PATH=/bin"]) };
        assert_eq!(bun(true).add_to(&mut other, Search::Nowhere), Ok(()));
        assert_eq!(path_of(&other), Some("/bin"));
    }
}
