// What is in the machine: a shell, the engines with their libraries, the kernel's modules, and the
// parts of the checkout that tests need.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { nodeModules, root } from '../paths.mjs';
import { addonOf, WARDEN } from '../targets.mjs';
import { baseSystem, librariesOf } from './base-system.mjs';
import { filesBelow } from './files-below.mjs';
import { CHECKOUT, initScript, USER } from './init.mjs';

/** @typedef {import('./archive.mjs').Entry} Entry */
/** @typedef {import('./architectures.mjs').Architecture} Architecture */
/** @typedef {import('./programs.mjs').Programs} Programs */

const PARTS = ['__test__', 'bin', 'dist', 'lib', 'scripts', 'examples', 'dashboards'];
const FILES = /^(?:index|prometheus|package|tsconfig)\./;
/** The packages that tests import, below node_modules. */
const DEPENDENCIES = ['ipaddr.js'];

/** Of a kernel's modules those for sock_diag and zram, and what may compress for it. */
const MODULES = /\/(?:\w+_diag|zram|zsmalloc|lz\w+|lzo-rle|zstd\w*|842\w*)\.ko/;

/**
 * @param {object} of
 * @param {Architecture} of.architecture
 * @param {string} of.kernel a directory with the unpacked package
 * @param {import('./debian.mjs').Packages} of.packages
 * @param {Programs} of.programs
 * @param {readonly import('./plan.mjs').Run[]} of.runs
 * @returns {Map<string, Entry>}
 */
export function guestFiles({ architecture, kernel, packages, programs, runs }) {
  /** @type {Map<string, Entry>} */
  const entries = new Map();
  /** @param {string} path in the machine, with its first slash @param {Entry} entry */
  const add = (path, entry) => void entries.set(path.slice(1), entry);
  /** @param {string} path @param {string} from */
  const copy = (path, from) => add(path, { kind: 'file', mode: modeOf(from), from });
  /** @param {string} path @param {string} text */
  const text = (path, text) => add(path, { kind: 'file', text });
  const init = initScript(runs, 'scripts/lib/vm/guest-facts.mjs');

  for (const path of ['/proc', '/sys', '/home']) add(path, { kind: 'directory' });
  for (const path of ['/tmp', '/var/tmp']) add(path, { kind: 'directory', mode: 0o1777 });
  add('/root', { kind: 'directory', mode: 0o700 });
  add('/dev/console', { kind: 'console' });
  add(`/users/${USER.name}`, { kind: 'directory', owner: USER.id });
  add('/init', { kind: 'file', mode: 0o755, text: init });

  const system = baseSystem(architecture, packages);
  for (const [path, entry] of system) add(path, entry);
  copy('/bin/busybox', join(packages.unpack('busybox-static'), 'bin', 'busybox'));
  copy('/usr/bin/node', programs.node);
  if (architecture.name === process.arch)
    for (const [path, entry] of librariesOf([programs.node, programs.bun], system))
      add(path, entry);

  text('/etc/hosts', '127.0.0.1 localhost\n::1 localhost\n');
  text('/etc/passwd', account('root', 0, '/root') + account(USER.name, USER.id));
  add('/etc/shadow', { kind: 'file', mode: 0o600, text: 'root:*::0:::::\n' });
  text('/etc/group', `root:x:0:\n${USER.name}:x:${USER.id}:\n`);

  for (const { path, from } of filesBelow(join(kernel, 'lib', 'modules'))) {
    if (MODULES.test(path)) copy(`/lib/modules/${path}`, from);
  }

  const npm = `${CHECKOUT}/npm/${architecture.triple}`;
  copy(`${npm}/package.json`, join(root, 'npm', architecture.triple, 'package.json'));
  copy(`${npm}/${addonOf(architecture)}`, programs.addon);
  copy(`${npm}/${WARDEN}`, programs.warden);
  copy(`${CHECKOUT}/node_modules/bun/bin/bun.exe`, programs.bun);
  add(`${CHECKOUT}/node_modules/.bin/bun`, { kind: 'link', text: '../bun/bin/bun.exe' });
  for (const name of DEPENDENCIES) {
    for (const { path, from } of filesBelow(join(nodeModules, name)))
      copy(`${CHECKOUT}/node_modules/${name}/${path}`, from);
  }
  for (const name of readdirSync(root).filter((name) => FILES.test(name)))
    copy(`${CHECKOUT}/${name}`, join(root, name));
  for (const part of PARTS) {
    for (const { path, from } of filesBelow(join(root, part)))
      copy(`${CHECKOUT}/${part}/${path}`, from);
  }
  return entries;
}

/** @param {string} name @param {number} id */
const account = (name, id, home = `/users/${name}`) => `${name}:x:${id}:${id}::${home}:/bin/sh\n`;

/** Every user of the machine may read what is in it. @param {string} path */
const modeOf = (path) => (statSync(path).mode & 0o111 ? 0o755 : 0o644);
