//! What the store is asked to do, and how it answers: plain values, which crates/member turns into
//! those of crates/store.
#![allow(missing_docs, reason = "each variant says what its fields mean")]

/// When and where something was read or written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Which store; 0 where the engine has no such number. After a backup was restored it should be
    /// another.
    pub cluster: u64,
    /// The store's revision at the moment of the answer.
    pub revision: u64,
}

/// A record of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: String,
    pub value: Vec<u8>,
    /// The revision at which it was first put.
    pub created: u64,
    /// The revision at which it was last put.
    pub modified: u64,
}

/// What must hold for a transaction to be carried out. What is absent has 0 for its revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    Created { key: String, is: u64 },
    CreatedIsNot { key: String, not: u64 },
    Modified { key: String, is: u64 },
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Put { key: String, value: Vec<u8> },
    Delete { key: String },
}

/// If all of `if_all` holds, `then` is carried out; otherwise `else_read` is read. All at one
/// revision. No key is written twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    pub if_all: Vec<Compare>,
    pub then: Vec<Write>,
    pub else_read: Vec<String>,
}

/// How the store has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was carried out; what it put has `at.revision` for `modified`.
    Committed { at: Stamp },
    /// It was not, as a compare did not hold. `read` is what `else_read` asks for.
    Refused { at: Stamp, read: Vec<Option<Record>> },
    /// What was read.
    Read { at: Stamp, records: Vec<Option<Record>> },
    /// Nobody knows whether it was carried out, or will be.
    Unknown,
    /// It was not carried out, and will not be.
    Unreachable,
}
