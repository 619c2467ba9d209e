//! Whether what a tenant may reach holds its neighbours, too: Landlock allows a directory with all
//! that is in it, so a path above the directory of all tenants would let each of them into the others.

use super::Isolation;
use super::answer::Reason;
use super::system_paths;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A directory that holds what is each tenant's own.
pub(super) struct Shared {
    what: &'static str,
    /// Without symbolic links.
    path: PathBuf,
}

impl Shared {
    pub fn tenants(root: &str) -> Shared {
        Shared { what: "the directory of all tenants", path: real(Path::new(root)) }
    }

    pub fn temporaries(path: &Path) -> Shared {
        Shared { what: "the private temporary directories of all tenants", path: real(path) }
    }

    /// Why it cannot be where it is: a path of the system that every tenant reaches is above it.
    pub fn below_system(&self) -> Option<Reason> {
        let (_, above) = system_paths::all().find(|(_, path)| self.is_below(Path::new(path)))?;
        let Shared { what, path } = self;
        let why = format!(
            "every tenant may read {above}, which programs need, and that contains {what}, {}",
            path.display()
        );
        Some(reason(why, "have it elsewhere (in /srv, /var/lib or /home)"))
    }

    /// Why one of the paths that the user lists cannot be allowed. Relative ones begin in a tenant's
    /// directory.
    pub fn below_listed(&self, isolation: &Isolation) -> Option<Reason> {
        let tenant = Path::new(isolation.root.as_deref()?).join("tenant");
        let lists = [("read", &isolation.read), ("write", &isolation.write)];
        let mut listed = lists
            .into_iter()
            .flat_map(|(option, paths)| paths.iter().map(move |path| (option, path)));
        let (option, above) =
            listed.find(|(_, path)| self.is_below(&without_dots(&tenant.join(path))))?;
        let Shared { what, path } = self;
        let why =
            format!("isolation.{option} has {above:?}, which contains {what}, {}", path.display());
        Some(reason(why, "list what tenants need in it instead"))
    }

    fn is_below(&self, path: &Path) -> bool {
        self.path.starts_with(real(path))
    }
}

fn reason(why: String, change: &str) -> Reason {
    let what =
        "isolation (\"files\": a tenant reaches the files of its own directory and no others)";
    let change = format!("{change}, or set isolation.enforce to \"best-effort\"");
    Reason { what: what.to_owned(), why, change }
}

/// The path with all symbolic links resolved, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let mut missing: Vec<&OsStr> = Vec::new();
    for above in path.ancestors() {
        if let Ok(real) = fs::canonicalize(above) {
            return missing.iter().rev().fold(real, |path, name| path.join(name));
        }
        missing.extend(above.file_name());
    }
    path.to_owned()
}

/// The path without `..`: the tenant's directory stands for any, and may not be there.
fn without_dots(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn why(root: &str, read: &[&str], write: &[&str]) -> Option<String> {
        let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        let (read, write) = (owned(read), owned(write));
        let isolation =
            Isolation { root: Some(root.to_owned()), read, write, ..Isolation::default() };
        let shared = Shared::tenants(root);
        shared.below_system().or_else(|| shared.below_listed(&isolation)).map(|it| it.why)
    }

    #[test]
    fn a_path_above_the_directory_of_all_tenants_is_named() {
        for above in ["/srv", "/", "/srv/apps/../apps", "/srv/apps", "..", "../..", "./../."] {
            let text = why("/srv/apps", &["/opt", above], &[]).expect(above);
            assert!(text.contains(&format!("isolation.read has {above:?}")), "{text}");
            assert!(text.ends_with("the directory of all tenants, /srv/apps"), "{text}");
            assert!(why("/srv/apps", &[], &[above]).is_some_and(|it| it.contains("write")));
        }
        for beside in
            ["/opt", "/srv/app", "/srv/apps/shared", "../shared", ".", "data", "/srv/apps2"]
        {
            assert_eq!(why("/srv/apps", &[beside], &[beside]), None, "{beside}");
        }
    }

    #[test]
    fn tenants_below_a_path_of_the_system_are_refused() {
        let text = why("/usr/share/www/apps", &[], &[]).unwrap();
        assert!(text.starts_with("every tenant may read /usr/share, "), "{text}");
        assert!(why("/nix/store/apps", &[], &[]).is_some());
        assert_eq!(why("/usr/src/apps", &[], &[]), None);
    }

    #[test]
    fn symbolic_links_are_followed() {
        let own = std::env::temp_dir().join(format!("neighbours-{}", std::process::id()));
        fs::create_dir_all(own.join("real/apps")).unwrap();
        symlink(own.join("real"), own.join("link")).unwrap();
        let path = |name: &str| own.join(name).to_str().unwrap().to_owned();
        assert!(why(&path("link/apps"), &[&path("real")], &[]).is_some());
        assert!(why(&path("real/apps"), &[&path("link")], &[]).is_some());
        assert!(why(&path("link/not/there"), &[&path("real")], &[]).is_some());
        symlink("/usr/share", own.join("share")).unwrap();
        assert!(why(&path("share/apps"), &[], &[]).is_some());
        fs::remove_dir_all(&own).unwrap();
    }
}
