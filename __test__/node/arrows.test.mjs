// The check of which part may import which reads imports as the engines do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dependenciesIn, importsIn, pathsIn } from '../../scripts/lib/arrows.mjs';

test('imports are found anywhere in a file, and imports of types do not count', () => {
  const source = `
import { a } from './a.js';
import {
  b,
} from '../b.js';
import * as c from './c.js';
export { d } from './d.js';
import './e.js';
const f = () => import('#f');
import { readFileSync } from 'node:fs';
/** @typedef {import('./types.js').Type} Type */
// import './comment.js';
`;
  assert.deepEqual(importsIn(source), ['./a.js', '../b.js', './c.js', './d.js', './e.js', '#f']);
});

test('paths of Rust are found in groups, by their own name and relative to their module', () => {
  const source = `
use crate::{
    net::{self, ports::{Held, reserve}},
    process as procs,
};
pub(crate) use super::host;
use linux::threads;
use ::warden::Stat;
// use crate::output::comment;
fn f(_: &crate::engine::Engine) -> super::super::warden_link::Link { self::inner::go() }
`;
  const file = 'crates/linux/src/process/foreign.rs';
  assert.deepEqual(pathsIn(source, file), [
    'crate::net::self',
    'crate::net::ports::Held',
    'crate::net::ports::reserve',
    'crate::process',
    'crate::process::host',
    'linux::threads',
    'warden::Stat',
    'crate::engine::Engine',
    'crate::warden_link::Link',
    'crate::process::foreign::inner::go',
  ]);
});

test('dependencies are found however they are written, and those of tests do not count', () => {
  const manifest = `
[package]
name = "driver"
[dependencies]
linux = { path = "../linux" }
pool.path = "../pool"
# gateway = "1"
[dependencies.warden]
path = "../warden"
[target.'cfg(unix)'.dependencies]
libc = "0.2"
[dev-dependencies]
divan = "0.1"
`;
  assert.deepEqual(dependenciesIn(manifest), ['linux', 'pool', 'warden', 'libc']);
});
