// Writes the archive that a kernel unpacks as its first file system: cpio in the format "newc".
// Owners and devices are what the entry says, so it takes neither root nor files on disk.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/**
 * @typedef {object} Entry
 * @property {'file' | 'directory' | 'link' | 'console'} kind
 * @property {number} [mode] permissions; by default those that all may read
 * @property {number} [owner] user and group
 * @property {string} [from] of a file: where its content is
 * @property {string} [text] of a file: its content; of a link: what it leads to
 */

const TYPES = { file: 0o100000, directory: 0o040000, link: 0o120000, console: 0o020000 };
const MODES = { file: 0o644, directory: 0o755, link: 0o777, console: 0o600 };
/** Numbers of /dev/console. */
const CONSOLE = [5, 1];

/**
 * Writes the entries, and before each the directories above it that are not entries themselves.
 *
 * @param {string} path
 * @param {ReadonlyMap<string, Entry>} entries by their path, without a slash at its beginning
 */
export function writeArchive(path, entries) {
  const file = openSync(path, 'w');
  let inode = 0;
  /** @param {string} name @param {Entry} entry */
  const write = (name, entry) => {
    inode += 1;
    for (const part of encode(name, entry, inode)) writeSync(file, part);
  };
  try {
    for (const [name, entry] of withParents(entries)) write(name, entry);
    write('TRAILER!!!', { kind: 'file', text: '' });
  } finally {
    closeSync(file);
  }
}

/**
 * @param {ReadonlyMap<string, Entry>} entries
 * @returns {Map<string, Entry>}
 */
export function withParents(entries) {
  /** @type {Map<string, Entry>} */
  const all = new Map();
  for (const [name, entry] of entries) {
    const parts = name.split('/');
    for (let depth = 1; depth < parts.length; depth += 1) {
      const parent = parts.slice(0, depth).join('/');
      if (!all.has(parent)) all.set(parent, entries.get(parent) ?? { kind: 'directory' });
    }
    all.set(name, entry);
  }
  return all;
}

/**
 * The header, the name and the content, each filled up to a multiple of four bytes.
 *
 * @param {string} name
 * @param {Entry} entry
 * @param {number} inode
 */
function encode(name, { kind, mode = MODES[kind], owner = 0, from, text = '' }, inode) {
  const content = from === undefined ? Buffer.from(text) : readFileSync(from);
  const [major = 0, minor = 0] = kind === 'console' ? CONSOLE : [];
  const nameBytes = Buffer.byteLength(name) + 1;
  const fields = [
    ...[inode, TYPES[kind] | mode, owner, owner],
    ...[/* links */ 1, /* changed */ 0, content.length],
    ...[/* on device */ 0, 0, major, minor],
    ...[nameBytes, /* checksum */ 0],
  ];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return [filled(Buffer.from(`${header}${name}\0`)), filled(content)];
}

/** @param {Buffer} bytes */
function filled(bytes) {
  const missing = (4 - (bytes.length % 4)) % 4;
  return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)]);
}
