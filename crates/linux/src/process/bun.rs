//! Finds programs by `PATH`, `bun` above all.

use rustix::fs::{Access, access};
use std::fs::{File, canonicalize, metadata};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How much of two programs is compared at a time.
const PART_BYTES: usize = 1 << 18;

/// Whether this `PATH` leads to a Bun. `not` is a program that does not count, whatever its name,
/// and neither does a copy of it.
pub fn is_on_path(path: &str, not: Option<&str>) -> bool {
    let is_it = |program: &str, not: &str| {
        is_same_file(program, not) || has_same_content(program, not).unwrap_or(false)
    };
    on_path("bun", path).is_some_and(|program| !not.is_some_and(|not| is_it(&program, not)))
}

/// The file that is executed for this program: where links lead, of what the `PATH` leads to. None
/// for a program that is not there, or that is given by a relative path.
pub fn file_of(program: &str, path: &str) -> Option<String> {
    let found = match program {
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        relative if relative.contains('/') => return None,
        name => on_path(name, path)?,
    };
    canonicalize(found).ok()?.into_os_string().into_string().ok()
}

/// The first program of this name. Relative directories are skipped: they would be the tenant's,
/// not the host's.
fn on_path(name: &str, path: &str) -> Option<String> {
    let directories = path.split(':').filter(|directory| directory.starts_with('/'));
    let mut programs = directories.map(|directory| format!("{directory}/{name}"));
    programs.find(|program| is_program(program))
}

/// The directory in which this Bun has the name `bun`: its own, or the one where npm links to
/// `node_modules/bun/bin/bun.exe`.
pub fn directory_of(bun: &str) -> Option<String> {
    let here = Path::new(bun).parent()?;
    if bun.ends_with("/bun") {
        return Some(here.to_str()?.to_owned());
    }
    let linked = here.parent()?.parent()?.join(".bin");
    let is_it = canonicalize(linked.join("bun")).ok()? == canonicalize(bun).ok()?;
    is_it.then(|| linked.to_str().map(str::to_owned))?
}

fn is_program(path: &str) -> bool {
    metadata(path).is_ok_and(|file| file.is_file()) && access(path, Access::EXEC_OK).is_ok()
}

fn is_same_file(one: &str, other: &str) -> bool {
    let identity = |path| metadata(path).map(|file| (file.dev(), file.ino())).ok();
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

/// Reads both only when they are of one length: a Bun and a program made with it never are.
fn has_same_content(one: &str, other: &str) -> io::Result<bool> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let [mut one, mut other] = [one, other].map(|file| BufReader::with_capacity(PART_BYTES, file));
    loop {
        let (ones, others) = (one.fill_buf()?, other.fill_buf()?);
        let length = ones.len().min(others.len());
        if length == 0 || ones[..length] != others[..length] {
            return Ok(ones.is_empty() && others.is_empty());
        }
        one.consume(length);
        other.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, create_dir_all, hard_link, remove_dir_all, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path =
                std::env::temp_dir().join(format!("runtime-bun-{name}-{}", std::process::id()));
            create_dir_all(&path).unwrap();
            Directory(path)
        }

        fn at(&self, name: &str) -> String {
            self.0.join(name).to_str().unwrap().to_owned()
        }

        fn file(&self, name: &str, mode: u32) -> String {
            let path = self.at(name);
            create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
            write(&path, "").unwrap();
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_path_leads_to_a_file_that_can_be_executed() {
        let directory = Directory::new("path");
        directory.file("has/bun", 0o755);
        directory.file("cannot/bun", 0o644);
        create_dir_all(directory.at("directory/bun")).unwrap();
        let of = |names: &[&str]| {
            names.iter().map(|name| directory.at(name)).collect::<Vec<_>>().join(":")
        };
        assert!(is_on_path(&of(&["has"]), None));
        assert!(is_on_path(&format!(":/missing:{}", of(&["cannot", "directory", "has"])), None));
        for path in ["".to_owned(), "has".to_owned(), of(&["cannot"]), of(&["directory"])] {
            assert!(!is_on_path(&path, None), "{path:?}");
        }
    }

    #[test]
    fn the_file_of_a_program_is_where_links_lead() {
        let directory = Directory::new("file");
        let program = directory.file("lib/bun.exe", 0o755);
        create_dir_all(directory.at("bin")).unwrap();
        symlink("../lib/bun.exe", directory.at("bin/bun")).unwrap();
        let program = canonicalize(program).unwrap().to_str().map(str::to_owned);
        let path = format!("relative:/missing:{}", directory.at("bin"));
        assert_eq!(file_of("bun", &path), program);
        assert_eq!(file_of(&directory.at("bin/bun"), ""), program);
        for missing in ["node", "./bun", "bin/bun", "/no/such/program"] {
            assert_eq!(file_of(missing, &path), None, "{missing}");
        }
    }

    #[test]
    fn the_first_one_counts_and_it_may_be_the_one_that_is_none() {
        let directory = Directory::new("none");
        let host = directory.file("host", 0o755);
        write(&host, "a program that was made with Bun").unwrap();
        directory.file("has/bun", 0o755);
        create_dir_all(directory.at("is")).unwrap();
        hard_link(&host, directory.at("is/bun")).unwrap();
        let (is, has) = (directory.at("is"), directory.at("has"));
        assert!(is_on_path(&is, None));
        assert!(!is_on_path(&is, Some(&host)));
        assert!(is_on_path(&has, Some(&host)));
        assert!(!is_on_path(&format!("{is}:{has}"), Some(&host)));
    }

    #[test]
    fn a_copy_of_the_one_that_is_none_is_none_either() {
        let directory = Directory::new("copy");
        let host = directory.file("host", 0o755);
        let bun = directory.file("is/bun", 0o755);
        let text = vec![7; 2 * PART_BYTES + 1];
        write(&host, &text).unwrap();
        for (copy, is_bun) in [(text.clone(), false), ([&text[1..], b"8"].concat(), true)] {
            write(&bun, copy).unwrap();
            assert_eq!(is_on_path(&directory.at("is"), Some(&host)), is_bun);
        }
    }

    #[test]
    fn it_is_called_bun_where_it_is_or_where_npm_links_it() {
        let directory = Directory::new("called");
        assert_eq!(directory_of(&directory.at("bin/bun")), Some(directory.at("bin")));
        let program = directory.file("node_modules/bun/bin/bun.exe", 0o755);
        assert_eq!(directory_of(&program), None);
        create_dir_all(directory.at("node_modules/.bin")).unwrap();
        symlink("../bun/bin/bun.exe", directory.at("node_modules/.bin/bun")).unwrap();
        assert_eq!(directory_of(&program), Some(directory.at("node_modules/.bin")));
    }
}
