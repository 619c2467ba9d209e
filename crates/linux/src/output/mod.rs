//! What tenants write.

pub mod lines;
