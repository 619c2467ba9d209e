//! Checks that a directory has a start script of its own. `bun run start` also looks for a
//! `package.json` in every directory above, and skips one that it cannot read. Without this check,
//! a tenant with an incomplete directory could run its host's start script: the host would start
//! itself, again and again.
//!
//! The tenant's first process checks this, before it executes the tenant's program: if the file
//! system of the directory never answers, only that tenant waits.

use crate::bun_json::{self, Value};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const FILE_NAME: &str = "package.json";

/// The most that is read of the file, far more than any has, so that a start cannot take for ever.
const MOST_BYTES: usize = 64 << 20;

const WHAT_TO_DO: &str = r#"give it { "scripts": { "start": "bun server.ts" } } or the like, or set the option `command`"#;

/// Refuses the working directory if `bun run start` would not run a script of its own. The error
/// says why, and names the directory as `directory`.
pub fn require(directory: &str) -> Result<(), String> {
    let path = Path::new(directory).join(FILE_NAME);
    let refuse = |why: String| Err(format!("{why}; {WHAT_TO_DO}"));
    let shown = path.display();
    // Non-blocking, since opening a named pipe would wait for a writer.
    let file =
        match open(FILE_NAME, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => {
                return refuse(format!("its directory {directory:?} has no {FILE_NAME}"));
            }
            Err(errno) => return refuse(format!("{shown} cannot be read: {errno}")),
        };
    let is_file = fstat(&file)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    if !is_file {
        return refuse(format!("{shown} is not a file"));
    }
    let mut text = Vec::new();
    if let Err(error) = File::from(file).take(MOST_BYTES as u64 + 1).read_to_end(&mut text) {
        return refuse(format!("{shown} cannot be read: {error}"));
    }
    if text.len() > MOST_BYTES {
        return refuse(format!("{shown} is larger than {} MiB", MOST_BYTES >> 20));
    }
    match has_start_script(&text) {
        Ok(true) => Ok(()),
        Ok(false) => refuse(format!("{shown} has no script \"start\"")),
        Err(error) => refuse(format!("{shown} is not JSON that Bun reads: {error}")),
    }
}

fn has_start_script(text: &[u8]) -> Result<bool, String> {
    let Value::Object(manifest) = bun_json::parse(text).map_err(|mistake| mistake.to_string())?
    else {
        // Bun skips such a file like one that it cannot read.
        return Err("it is no object".into());
    };
    // Of several `scripts` Bun takes the first, and in it the `start` whose value is a string.
    let scripts = match manifest.into_iter().find(|(key, _)| key == "scripts") {
        Some((_, Value::Object(scripts))) => scripts,
        _ => return Ok(false),
    };
    let is_start = |(key, script): &(String, Value)| {
        key == "start" && matches!(script, Value::Text(text) if !text.trim().is_empty())
    };
    Ok(scripts.iter().any(is_start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<bool> {
        has_start_script(text.as_bytes()).ok()
    }

    /// Each text was tried with Bun 1.3 and 1.4, which skip a file that they cannot read and go on
    /// to the next directory above: such a file must not be accepted here.
    #[test]
    fn what_bun_runs_is_found_and_what_it_passes_over_is_not() {
        for text in [
            r#"{"scripts":{"start":"x"}}"#,
            r#"{"scr\u0069pts":{"start":"say \"x\\"}}"#,
            r#"{"scr\x69pts":{'start':'x'}}"#,
            r#"{"scripts":{"start":"x"},"scripts":{"start":""}}"#,
            r#"{"scripts":{"start":"x"},"scripts":null}"#,
            r#"{"scripts":{"start":"","start":"x","start":5}}"#,
        ] {
            assert_eq!(found(text), Some(true), "{text}");
        }
        for text in [
            "{}",
            r#"{"scripts":{}}"#,
            r#"{"scripts":[]}"#,
            r#"{"scripts":{"start":""}}"#,
            r#"{"scripts":{"start":" "}}"#,
            r#"{"scripts":{"start":5}}"#,
            r#"{"scripts":{"prestart":"x"}}"#,
            r#"{"scripts":{},"scripts":{"start":"x"}}"#,
            r#"{"scripts":null,"scripts":{"start":"x"}}"#,
        ] {
            assert_eq!(found(text), Some(false), "{text}");
        }
        for text in
            ["", "[]", "null", r#"[{"scripts":{"start":"x"}}]"#, r#"{"scripts":{"start":"x""#]
        {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn an_error_names_its_place() {
        let error =
            has_start_script("{\n  /* ä\n \u{e4}mment */ \"a\": nothing }".as_bytes()).unwrap_err();
        assert_eq!(error, "a value expected at line 3 column 17");
    }
}
