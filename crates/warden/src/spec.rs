//! The description of a tenant's start: one object of tagged parts. Its environment can be
//! megabytes, more than a packet holds, so it travels in a memory file beside the
//! [`Launch`](crate::protocol::Command::Launch) packet.
//!
//! The file begins with the four bytes `ABS5` and the number of bytes that follow. Then comes part
//! after part: a tag, the number of bytes of the body, and the body. Numbers are words: four
//! bytes, little-endian. A string ends with a zero byte.
//!
//! | tag | part         | body |
//! |-----|--------------|------------------------------------------------------------------------------|
//! | 1   | directory    | a string |
//! | 2   | command      | strings: the program and its arguments |
//! | 3   | environment  | strings, each `KEY=value` |
//! | 4   | umask        | a word |
//! | 5   | start script | empty; the part is there if the directory has to have one |
//! | 6   | descriptors  | words: what the descriptors after the memory file become, in their order |
//! | 7   | limits       | for each limit: a word, what is limited, and eight bytes, how much |
//! | 8   | groups       | for each: the version, the number of settings, the parent, the settings |
//! | 9   | temporary    | a string |
//! | 10  | user         | words: the user and its group |
//! | 11  | walls        | words and strings: see `confinement.rs` |
//!
//! Parts come in the order of their tags, each once, so a launch has exactly one encoding. An
//! unknown part is refused: both ends have the same version, and a part that one end cannot carry
//! out must not be skipped silently.
//!
//! The parts 7 to 11 are there if the program is held within them ([`Confinement`]).
//!
//! A new part is a row of this table, a field of [`LaunchSpec`] (or of [`Confinement`], if it holds
//! the program), and a line each in `Tag` and its `ALL`, in `is_of_confinement`, in `to_bytes` and in
//! `Parts`. The four bytes stay as they are, since an end that does not know the part refuses it.
//! They change when bytes that were valid before mean something else: the header, or the body of a
//! part.

use std::ffi::{CStr, CString};

use thiserror::Error;

use crate::confinement::{self, Confinement};

const MAGIC: [u8; WORD_BYTES] = *b"ABS5";
const WORD_BYTES: usize = 4;

/// A program and the surroundings it is started in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchSpec {
    /// The working directory of the program. Relative paths below are relative to it.
    pub cwd: CString,
    /// The program and its arguments. A program without a slash is searched in the `PATH` of
    /// `env`.
    pub argv: Vec<CString>,
    /// The whole environment, as `KEY=value` entries.
    pub env: Vec<CString>,
    /// The file mode creation mask. It travels with each start, as hosts change their own for
    /// moments at a time.
    pub umask: u32,
    /// The program runs the start script of the directory, which must have one.
    pub needs_start_script: bool,
    /// What each descriptor after the memory file becomes.
    pub descriptors: Vec<Descriptor>,
    /// What the program is held within.
    pub confinement: Confinement,
}

/// What a descriptor becomes in the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// The tags of the parts, as they are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    Directory = 1,
    Command = 2,
    Environment = 3,
    Umask = 4,
    StartScript = 5,
    Descriptors = 6,
    Limits = 7,
    Groups = 8,
    Temporary = 9,
    User = 10,
    Walls = 11,
}

/// Bytes that are not a [`LaunchSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// The header is missing or of another version.
    #[error("the launch does not start with its header: the two ends differ in version")]
    Header,
    /// The parts do not fill the announced size exactly.
    #[error("the launch announces {announced} bytes of parts but holds {actual}")]
    Length {
        /// What the header says.
        announced: usize,
        /// What follows it.
        actual: usize,
    },
    /// There is no such part.
    #[error("the launch has a part with the unknown tag {tag}: the two ends differ in version")]
    UnknownPart {
        /// Its tag.
        tag: u32,
    },
    /// A part is out of order, or occurs twice.
    #[error("the part with the tag {tag} of the launch is not in its place")]
    Order {
        /// Its tag.
        tag: u32,
    },
    /// The content of a part is invalid, or ends too early.
    #[error("the part with the tag {tag} of the launch cannot be read")]
    Body {
        /// Its tag.
        tag: u32,
    },
    /// A part that every launch must have is missing.
    #[error("the launch has no part with the tag {tag}")]
    Missing {
        /// Its tag.
        tag: u32,
    },
    /// There is no program to start.
    #[error("the launch names no program")]
    NoProgram,
    /// An environment entry is not of the form `KEY=value`.
    #[error("environment entry {index} of the launch is not of the form KEY=value")]
    Environment {
        /// Which entry.
        index: usize,
    },
}

impl LaunchSpec {
    /// The bytes to put into the memory file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [MAGIC, [0; WORD_BYTES]].concat();
        put(&mut bytes, Tag::Directory, |body| body.extend(self.cwd.as_bytes_with_nul()));
        put(&mut bytes, Tag::Command, |body| put_strings(body, &self.argv));
        put(&mut bytes, Tag::Environment, |body| put_strings(body, &self.env));
        put(&mut bytes, Tag::Umask, |body| body.extend(self.umask.to_le_bytes()));
        if self.needs_start_script {
            put(&mut bytes, Tag::StartScript, |_| ());
        }
        put(&mut bytes, Tag::Descriptors, |body| {
            self.descriptors
                .iter()
                .for_each(|descriptor| body.extend(descriptor.to_word().to_le_bytes()));
        });
        let Confinement { limits, groups, temporary, user, walls } = &self.confinement;
        if !limits.is_empty() {
            put(&mut bytes, Tag::Limits, |body| confinement::put_limits(body, limits));
        }
        if !groups.is_empty() {
            put(&mut bytes, Tag::Groups, |body| confinement::put_groups(body, groups));
        }
        if let Some(directory) = temporary {
            put(&mut bytes, Tag::Temporary, |body| body.extend(directory.as_bytes_with_nul()));
        }
        if let Some(user) = user {
            put(&mut bytes, Tag::User, |body| confinement::put_user(body, *user));
        }
        if let Some(walls) = walls {
            put(&mut bytes, Tag::Walls, |body| confinement::put_walls(body, walls));
        }
        set_length(&mut bytes, WORD_BYTES);
        bytes
    }

    /// Decodes the bytes of a memory file.
    pub fn parse(bytes: &[u8]) -> Result<LaunchSpec, SpecError> {
        let (header, mut rest) =
            bytes.split_first_chunk::<WORD_BYTES>().ok_or(SpecError::Header)?;
        let announced =
            take_word(&mut rest).filter(|_| *header == MAGIC).ok_or(SpecError::Header)?;
        if announced as usize != rest.len() {
            return Err(SpecError::Length { announced: announced as usize, actual: rest.len() });
        }
        let mut parts = Parts::default();
        let mut last = 0;
        while !rest.is_empty() {
            let tag = take_word(&mut rest).ok_or(SpecError::Body { tag: last })?;
            let known = Tag::of(tag).ok_or(SpecError::UnknownPart { tag })?;
            if std::mem::replace(&mut last, tag) >= tag {
                return Err(SpecError::Order { tag });
            }
            let length = take_word(&mut rest).ok_or(SpecError::Body { tag })?;
            let (body, others) =
                rest.split_at_checked(length as usize).ok_or(SpecError::Body { tag })?;
            parts.take(known, body).ok_or(SpecError::Body { tag })?;
            rest = others;
        }
        parts.together()
    }
}

impl Descriptor {
    fn to_word(self) -> u32 {
        match self {
            Descriptor::Stdout => 1,
            Descriptor::Stderr => 2,
        }
    }

    fn of(word: u32) -> Option<Descriptor> {
        [Descriptor::Stdout, Descriptor::Stderr]
            .into_iter()
            .find(|descriptor| descriptor.to_word() == word)
    }
}

impl Tag {
    const ALL: [Tag; 11] = {
        use Tag::*;
        [
            Directory,
            Command,
            Environment,
            Umask,
            StartScript,
            Descriptors,
            Limits,
            Groups,
            Temporary,
            User,
            Walls,
        ]
    };

    pub(crate) fn of(word: u32) -> Option<Tag> {
        Tag::ALL.into_iter().find(|tag| *tag as u32 == word)
    }

    /// Whether the part is one of a [`Confinement`]. The warden itself reads those, and no others
    /// (`excerpt.rs`).
    pub(crate) fn is_of_confinement(self) -> bool {
        use Tag::*;
        match self {
            Directory | Command | Environment | Umask | StartScript | Descriptors => false,
            Limits | Groups | Temporary | User | Walls => true,
        }
    }
}

/// The parts that were read so far.
#[derive(Default)]
pub(crate) struct Parts {
    directory: Option<CString>,
    command: Option<Vec<CString>>,
    environment: Option<Vec<CString>>,
    umask: Option<u32>,
    needs_start_script: bool,
    descriptors: Option<Vec<Descriptor>>,
    pub(crate) confinement: Confinement,
}

impl Parts {
    /// Reads a part's body; `None` if its content is invalid.
    pub(crate) fn take(&mut self, tag: Tag, body: &[u8]) -> Option<()> {
        match tag {
            Tag::Directory => self.directory = Some(string(body)?),
            Tag::Command => self.command = Some(strings(body)?),
            Tag::Environment => self.environment = Some(strings(body)?),
            Tag::Umask => self.umask = Some(u32::from_le_bytes(body.try_into().ok()?)),
            Tag::StartScript => self.needs_start_script = body.is_empty().then_some(true)?,
            Tag::Descriptors => self.descriptors = Some(descriptors(body)?),
            Tag::Limits => self.confinement.limits = confinement::limits(body)?,
            Tag::Groups => self.confinement.groups = confinement::groups(body)?,
            Tag::Temporary => self.confinement.temporary = Some(string(body)?),
            Tag::User => self.confinement.user = Some(confinement::user(body)?),
            Tag::Walls => self.confinement.walls = Some(confinement::walls(body)?),
        }
        Some(())
    }

    fn together(self) -> Result<LaunchSpec, SpecError> {
        let missing = |tag: Tag| SpecError::Missing { tag: tag as u32 };
        let spec = LaunchSpec {
            cwd: self.directory.ok_or(missing(Tag::Directory))?,
            argv: self.command.ok_or(missing(Tag::Command))?,
            env: self.environment.ok_or(missing(Tag::Environment))?,
            umask: self.umask.ok_or(missing(Tag::Umask))?,
            needs_start_script: self.needs_start_script,
            descriptors: self.descriptors.ok_or(missing(Tag::Descriptors))?,
            confinement: self.confinement,
        };
        if spec.argv.is_empty() {
            return Err(SpecError::NoProgram);
        }
        match spec.env.iter().position(|entry| !is_assignment(entry)) {
            Some(index) => Err(SpecError::Environment { index }),
            None => Ok(spec),
        }
    }
}

/// Writes a part: its tag, its length, and the body that `write` appends.
fn put(bytes: &mut Vec<u8>, tag: Tag, write: impl FnOnce(&mut Vec<u8>)) {
    bytes.extend((tag as u32).to_le_bytes());
    let at = bytes.len();
    bytes.extend([0; WORD_BYTES]);
    write(bytes);
    set_length(bytes, at);
}

/// Writes into the word at `at` how many bytes follow it. A size beyond 4 GiB saturates, and the
/// other end refuses it; no kernel could execute such a program.
fn set_length(bytes: &mut [u8], at: usize) {
    let length = u32::try_from(bytes.len() - at - WORD_BYTES).unwrap_or(u32::MAX);
    bytes[at..at + WORD_BYTES].copy_from_slice(&length.to_le_bytes());
}

pub(crate) fn put_strings(body: &mut Vec<u8>, strings: &[CString]) {
    strings.iter().for_each(|string| body.extend(string.as_bytes_with_nul()));
}

pub(crate) fn take_word(bytes: &mut &[u8]) -> Option<u32> {
    let (word, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*word))
}

fn string(body: &[u8]) -> Option<CString> {
    Some(CStr::from_bytes_with_nul(body).ok()?.to_owned())
}

/// The strings of a body; `None` if bytes are left over.
pub(crate) fn strings(mut body: &[u8]) -> Option<Vec<CString>> {
    let mut strings = Vec::new();
    while !body.is_empty() {
        let string = CStr::from_bytes_until_nul(body).ok()?;
        body = &body[string.to_bytes_with_nul().len()..];
        strings.push(string.to_owned());
    }
    Some(strings)
}

fn descriptors(mut body: &[u8]) -> Option<Vec<Descriptor>> {
    let mut descriptors = Vec::new();
    while !body.is_empty() {
        descriptors.push(Descriptor::of(take_word(&mut body)?)?);
    }
    Some(descriptors)
}

fn is_assignment(entry: &CStr) -> bool {
    entry.to_bytes().iter().position(|&byte| byte == b'=').is_some_and(|at| at > 0)
}
