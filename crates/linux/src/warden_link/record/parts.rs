//! The parts of a record, as bytes.

use super::RunRecord;
use crate::confine::answer::{LIMITS, PROMISES};
use crate::confine::{By, InForce, InForceIsolation, InForceLimit};
use std::ffi::CString;
use warden::confinement::{Group, Hierarchy};

/// The tags of the parts, as they are written.
mod tag {
    pub const KEY: u64 = 1;
    pub const ROOT: u64 = 2;
    pub const PORT: u64 = 3;
    pub const STARTED: u64 = 4;
    pub const RULES: u64 = 5;
    pub const GROUP: u64 = 6;
    pub const TEMPORARY: u64 = 7;
    pub const IN_FORCE: u64 = 8;
    pub const LIMIT: u64 = 9;
    pub const ISOLATION: u64 = 10;
    pub const MISSING: u64 = 11;
}

impl RunRecord {
    pub(super) fn to_parts(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut part = |tag: u64, body: &[&[u8]]| {
            out.extend(tag.to_le_bytes());
            out.extend((body.iter().map(|bytes| bytes.len()).sum::<usize>() as u64).to_le_bytes());
            body.iter().for_each(|bytes| out.extend(*bytes));
        };
        part(tag::KEY, &[self.key.as_bytes()]);
        part(tag::ROOT, &[self.root.as_bytes()]);
        part(tag::PORT, &[&numbers(&[u64::from(self.port), self.release])]);
        part(tag::STARTED, &[&numbers(&[self.started_at_ms, self.since_boot_ms])]);
        part(tag::RULES, &[&numbers(&self.rules)]);
        for Group { hierarchy, parent, .. } in &self.groups {
            part(tag::GROUP, &[&numbers(&[*hierarchy as u64]), parent.as_bytes()]);
        }
        if let Some(temporary) = &self.temporary {
            part(tag::TEMPORARY, &[temporary.as_bytes()]);
        }
        let Some(InForce { limits, isolation }) = &self.in_force else { return out };
        part(tag::IN_FORCE, &[]);
        for InForceLimit { name, value, by } in limits {
            part(tag::LIMIT, &[&numbers(&[value.to_bits(), *by as u64]), name.as_bytes()]);
        }
        if let Some(InForceIsolation { landlock, seccomp, user, missing }) = isolation {
            let number = |number: &Option<u32>| number.map_or(u64::MAX, u64::from);
            let walls = [number(landlock), u64::from(*seccomp), number(user)];
            part(tag::ISOLATION, &[&numbers(&walls)]);
            missing.iter().for_each(|name| part(tag::MISSING, &[name.as_bytes()]));
        }
        out
    }

    pub(super) fn of_parts(parts: &[u8]) -> Option<RunRecord> {
        let mut record = RunRecord::default();
        let mut parts = Bytes(parts);
        while !parts.0.is_empty() {
            let tag = parts.number()?;
            let length = usize::try_from(parts.number()?).ok()?;
            record.take_part(tag, Bytes(parts.take(length)?))?;
        }
        (!record.key.is_empty()).then_some(record)
    }

    fn take_part(&mut self, tag: u64, mut body: Bytes<'_>) -> Option<()> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        match tag {
            tag::KEY => self.key = text(body.0)?,
            tag::ROOT => self.root = text(body.0)?,
            tag::PORT => {
                self.port = body.number()?.try_into().ok()?;
                self.release = body.number()?;
            }
            tag::STARTED => {
                (self.started_at_ms, self.since_boot_ms) = body.number().zip(body.number())?
            }
            tag::RULES => {
                while !body.0.is_empty() {
                    self.rules.push(body.number()?);
                }
            }
            tag::GROUP => {
                let hierarchies = [Hierarchy::V1, Hierarchy::V2].into_iter();
                let number = body.number()?;
                let hierarchy = hierarchies.into_iter().find(|one| *one as u64 == number)?;
                let parent = CString::new(body.0).ok()?;
                self.groups.push(Group { hierarchy, parent, settings: Vec::new() });
            }
            tag::TEMPORARY => self.temporary = Some(CString::new(body.0).ok()?),
            tag::IN_FORCE => self.in_force = Some(InForce::default()),
            tag::LIMIT => {
                let (value, by) = (f64::from_bits(body.number()?), body.number()?);
                let ways = [By::Cgroup2, By::Cgroup1, By::Rlimit, By::None];
                let by = ways.into_iter().find(|one| *one as u64 == by)?;
                let limits = &mut self.in_force.as_mut()?.limits;
                // A limit that this version does not know is not told.
                limits.extend(known(LIMITS, body.0).map(|name| InForceLimit { name, value, by }));
            }
            tag::ISOLATION => {
                let number = |number: u64| u32::try_from(number).ok();
                let (landlock, seccomp) = (number(body.number()?), body.number()? == 1);
                let (user, missing) = (number(body.number()?), Vec::new());
                self.in_force.as_mut()?.isolation =
                    Some(InForceIsolation { landlock, seccomp, user, missing });
            }
            tag::MISSING => {
                let isolation = self.in_force.as_mut()?.isolation.as_mut()?;
                isolation.missing.extend(known(PROMISES, body.0));
            }
            _ => {}
        }
        Some(())
    }
}

fn known(names: &[&'static str], name: &[u8]) -> Option<&'static str> {
    names.iter().copied().find(|known| known.as_bytes() == name)
}

pub(super) fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// What is left to read.
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn number(&mut self) -> Option<u64> {
        self.take(8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }
}
