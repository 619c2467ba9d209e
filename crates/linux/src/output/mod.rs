//! Tenants' output: their pipes, read and cut into lines.

pub mod lines;
