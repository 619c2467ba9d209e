//! What a tenant's start consists of. It can be megabytes of environment, more than a packet holds, so it travels in a
//! memory file beside the [`Launch`](crate::protocol::Command::Launch) packet.
//!
//! Layout: six little-endian words (magic, number of arguments, number of environment entries, number of bytes that
//! follow, umask, 1 if a start script is needed), then the working directory, the arguments and the environment entries, each ended by a zero byte.

use std::ffi::{CStr, CString};

use thiserror::Error;

const MAGIC: u32 = u32::from_le_bytes(*b"ABS3");
const HEADER_BYTES: usize = 24;

/// A program and the surroundings it is started in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchSpec {
    /// The directory the program starts in. Relative paths below are relative to it.
    pub cwd: CString,
    /// The file mode creation mask. It travels with each start, as hosts change theirs for moments at a time.
    pub umask: u32,
    /// The program runs the start script of the directory, which has to have one.
    pub needs_start_script: bool,
    /// The program and its arguments. A program without a slash is searched in the `PATH` of `env`.
    pub argv: Vec<CString>,
    /// The whole environment, as `KEY=value` entries.
    pub env: Vec<CString>,
}

/// Bytes that are not a [`LaunchSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// The header is missing or of another version.
    #[error("the launch specification does not start with its header: the two ends differ in version")]
    Header,
    /// The strings do not fill the announced size exactly.
    #[error("the launch specification announces {announced} bytes of strings but holds {actual}")]
    Length {
        /// What the header says.
        announced: usize,
        /// What follows it.
        actual: usize,
    },
    /// There are fewer or more strings than announced.
    #[error("the launch specification does not hold the {announced} strings that it announces")]
    Count {
        /// What the header says, the working directory included.
        announced: usize,
    },
    /// There is no program to start.
    #[error("the launch specification names no program")]
    NoProgram,
    /// An environment entry is not of the form `KEY=value`.
    #[error("environment entry {index} of the launch specification is not of the form KEY=value")]
    Environment {
        /// Which entry.
        index: usize,
    },
}

impl LaunchSpec {
    /// The bytes to put into the memory file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let strings = || std::iter::once(&self.cwd).chain(&self.argv).chain(&self.env);
        let strings_bytes: usize = strings().map(|string| string.as_bytes_with_nul().len()).sum();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + strings_bytes);
        let counts = [self.argv.len(), self.env.len(), strings_bytes].map(word);
        for word in [MAGIC].into_iter().chain(counts).chain([self.umask, u32::from(self.needs_start_script)])
        {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for string in strings() {
            bytes.extend_from_slice(string.as_bytes_with_nul());
        }
        bytes
    }

    /// What the bytes of a memory file say.
    pub fn parse(bytes: &[u8]) -> Result<LaunchSpec, SpecError> {
        let (header, strings) = bytes.split_at_checked(HEADER_BYTES).ok_or(SpecError::Header)?;
        let word_at = |index: usize| {
            let start = index * 4;
            u32::from_le_bytes([header[start], header[start + 1], header[start + 2], header[start + 3]])
        };
        if word_at(0) != MAGIC {
            return Err(SpecError::Header);
        }
        let umask = word_at(4);
        let needs_start_script = match word_at(5) {
            0 => false,
            1 => true,
            _ => return Err(SpecError::Header),
        };
        let [argument_count, entry_count, announced] = [1, 2, 3].map(|index| word_at(index) as usize);
        if announced != strings.len() {
            return Err(SpecError::Length { announced, actual: strings.len() });
        }
        if argument_count == 0 {
            return Err(SpecError::NoProgram);
        }
        let (cwd, argv, env) = split(strings, argument_count, entry_count)?;
        if let Some(index) = env.iter().position(|entry| !is_assignment(entry)) {
            return Err(SpecError::Environment { index });
        }
        Ok(LaunchSpec { cwd, umask, needs_start_script, argv, env })
    }
}

type Parts = (CString, Vec<CString>, Vec<CString>);

/// Cuts the strings apart; nothing may be missing or left over.
fn split(mut rest: &[u8], argument_count: usize, entry_count: usize) -> Result<Parts, SpecError> {
    let error = SpecError::Count { announced: argument_count.saturating_add(entry_count).saturating_add(1) };
    let mut next = || {
        let string = CStr::from_bytes_until_nul(rest).map_err(|_| error)?;
        rest = &rest[string.to_bytes_with_nul().len()..];
        Ok(string.to_owned())
    };
    let cwd = next()?;
    let argv = (0..argument_count).map(|_| next()).collect::<Result<_, _>>()?;
    let env = (0..entry_count).map(|_| next()).collect::<Result<_, _>>()?;
    if rest.is_empty() { Ok((cwd, argv, env)) } else { Err(error) }
}

fn is_assignment(entry: &CStr) -> bool {
    entry.to_bytes().iter().position(|&byte| byte == b'=').is_some_and(|at| at > 0)
}

/// Sizes beyond 4 GiB cannot be executed by any kernel; saturating makes the other end refuse them.
fn word(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
