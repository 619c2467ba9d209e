/**
 * Lines in files, a directory for each tenant: `current.log`, and those before it, named by the
 * time of their end. Lines are collected and written in batches; what cannot be written is dropped
 * and told once. All files together stay within one bound: the oldest of all goes first.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { textOf } from '../errors.js';

/** How long lines are collected before they are written. */
const COLLECTED_MS = 250;
/** Lines that wait for a slow disk, in all. */
const MOST_WAITING_BYTES = 8 << 20;
/** The size of a file at which the next one begins: a share of all, within these. */
const LEAST_FILE_BYTES = 16 << 10;
const MOST_FILE_BYTES = 16 << 20;
const FILES_WITHIN_BOUND = 64;
/** After a failure: how long until the next try. */
const RETRY_MS = 5_000;
/** What one question may read back. */
const MOST_READ_BYTES = 8 << 20;
/** The longest name that most file systems have is 255 bytes. */
const MOST_NAME_BYTES = 150;

const CURRENT = 'current.log';

/** @typedef {import('./log-ring.js').Line} Line */
/** @typedef {import('../../index.js').RuntimeLogEvent} LogEvent */
/** A file that is there. @typedef {{ path: string, bytes: number, endedAt: number }} Old */

/**
 * @param {{ directory: string, maxBytes: number }} settings
 * @param {(problem: { code: string, text: string } | null) => void} tell what is wrong; null: it
 * works again
 */
export function createLogFiles({ directory, maxBytes }, tell) {
  const fileBytes = Math.min(
    Math.max(maxBytes / FILES_WITHIN_BOUND, Math.min(LEAST_FILE_BYTES, maxBytes / 4)),
    MOST_FILE_BYTES,
  );
  /** @type {Map<string, string[]>} */
  const waiting = new Map();
  let waitingBytes = 0;
  let droppedLines = 0;
  /** Files that are full. @type {Old[]} */
  let old = [];
  /** Bytes of each tenant's current file, by its directory. @type {Map<string, number>} */
  const current = new Map();
  let totalBytes = 0;
  const openedAt = Date.now();
  let isFailing = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let work = /** @type {Promise<void>} */ (lookAround());

  /** Finds what a host before has left. */
  async function lookAround() {
    try {
      await makeDirectory(directory);
      for (const entry of await readdir(directory, { withFileTypes: true })) {
        if (entry.isDirectory()) await lookInto(join(directory, entry.name));
      }
      old.sort((one, other) => one.endedAt - other.endedAt);
      await makeRoom();
    } catch (error) {
      failed(error);
    }
  }

  /** @param {string} place */
  async function lookInto(place) {
    for (const name of await readdir(place)) {
      const endedAt =
        name === CURRENT ? NaN : Number(/^(\d+)(?:-\d+)?\.log$/.exec(name)?.[1] ?? -1);
      if (endedAt === -1) continue;
      const { size } = await stat(join(place, name));
      if (Number.isNaN(endedAt)) setCurrent(place, size);
      else addOld({ path: join(place, name), bytes: size, endedAt });
    }
  }

  /** @param {number} seq of this host's @param {LogEvent} event */
  function add(seq, { key, at, pid, stream, line }) {
    const text = `${new Date(at).toISOString()} ${seq} ${pid} ${stream} ${line}\n`;
    if (waitingBytes + text.length > MOST_WAITING_BYTES) {
      droppedLines += 1;
      return;
    }
    waitingBytes += text.length;
    const lines = waiting.get(key);
    if (lines === undefined) waiting.set(key, [text]);
    else lines.push(text);
    timer ??= setTimeout(flush, isFailing ? RETRY_MS : COLLECTED_MS);
    timer.unref?.();
  }

  function flush() {
    clearTimeout(timer);
    // Lines that come while this writes are collected for the next time.
    timer = undefined;
    work = work.then(writeAll);
    return work;
  }

  async function writeAll() {
    const batches = [...waiting];
    waiting.clear();
    waitingBytes = 0;
    let problem;
    for (const [key, lines] of batches) {
      try {
        await append(join(directory, nameOf(key)), Buffer.from(lines.join('')));
      } catch (error) {
        droppedLines += lines.length;
        problem ??= error;
      }
    }
    if (problem !== undefined) return failed(problem);
    if (isFailing && batches.length > 0) {
      isFailing = false;
      tell(null);
    }
  }

  /** @param {unknown} error */
  function failed(error) {
    if (isFailing) return;
    isFailing = true;
    const code = String(Reflect.get(Object(error), 'code') ?? 'UNKNOWN');
    tell({ code, text: `lines are not written to files: ${textOf(error)}` });
  }

  /** @param {string} place @param {Buffer} bytes */
  async function append(place, bytes) {
    const known = current.get(place);
    if (known === undefined) await makeDirectory(place);
    if (known !== undefined && known > 0 && known + bytes.length > fileBytes)
      await rotate(place, known);
    // A batch that is larger than a whole share loses its beginning.
    const kept = bytes.length > fileBytes ? lastLinesOf(bytes, fileBytes) : bytes;
    await makeRoom(kept.length);
    const file = await open(join(place, CURRENT), 'a', 0o600);
    try {
      await file.writeFile(kept);
    } finally {
      await file.close();
      setCurrent(place, (await stat(join(place, CURRENT))).size);
    }
  }

  /** @param {string} place @param {number} bytes */
  async function rotate(place, bytes) {
    const endedAt = Date.now();
    const isTaken = (/** @type {string} */ path) => old.some((other) => other.path === path);
    let path = join(place, `${endedAt}.log`);
    for (let more = 1; isTaken(path); more += 1) path = join(place, `${endedAt}-${more}.log`);
    await rename(join(place, CURRENT), path);
    setCurrent(place, 0);
    addOld({ path, bytes, endedAt });
  }

  /** @param {string} place @param {number} bytes */
  function setCurrent(place, bytes) {
    totalBytes += bytes - (current.get(place) ?? 0);
    current.set(place, bytes);
  }

  /** @param {Old} file */
  function addOld(file) {
    totalBytes += file.bytes;
    old.push(file);
  }

  /** Removes the oldest files until so many bytes more fit. */
  async function makeRoom(more = 0) {
    while (totalBytes + more > maxBytes) {
      const oldest = old.shift();
      if (oldest === undefined) {
        const largest = [...current].sort(([, one], [, other]) => other - one)[0];
        if (largest === undefined || largest[1] === 0) return;
        await rm(join(largest[0], CURRENT), { force: true });
        setCurrent(largest[0], 0);
      } else {
        totalBytes -= oldest.bytes;
        await rm(oldest.path, { force: true });
      }
    }
  }

  /**
   * The last `n` lines of a tenant since a time that come before one of this host's.
   * @param {{ key: string, n: number, since?: number, before: number, stream?: string,
   *   matches?: import('./logs.js').LineQuery['matches'] }} query
   * @param {import('./pattern.js').Budget} budget
   * @returns {Promise<Line[]>}
   */
  async function read({ key, n, since = -Infinity, before, stream, matches }, budget) {
    await flush();
    const place = join(directory, nameOf(key));
    const its = old.filter(({ path, endedAt }) => path.startsWith(`${place}/`) && endedAt >= since);
    const paths = [...its.map(({ path }) => path), join(place, CURRENT)].reverse();
    /** @type {Line[]} */
    const found = [];
    let left = MOST_READ_BYTES;
    for (const path of paths) {
      if (left <= 0 || found.length >= n || budget.steps <= 0) break;
      const text = await endOf(path, left);
      left -= text.length;
      for (const line of text.split('\n').reverse()) {
        const one = lineOf(key, line, openedAt);
        if (one === undefined || one.seq >= before) continue;
        if (one.at < since || found.length >= n || budget.steps <= 0) break;
        if (stream !== undefined && one.stream !== stream) continue;
        if (matches === undefined || matches(one.line, budget)) found.push(one);
      }
    }
    return found.reverse();
  }

  return {
    add,
    read,
    /** Writes what waits. */
    flush,
    state: () => ({ directory, bytes: totalBytes, maxBytes, droppedLines, isFailing }),
  };
}

/** @typedef {ReturnType<typeof createLogFiles>} LogFiles */

/** The name of a tenant's directory. @param {string} key */
export function nameOf(key) {
  // `.` alone would be another directory, and a name with a dot first is hidden.
  const name = encodeURIComponent(key).replace(/^\./, '%2E');
  if (name.length <= MOST_NAME_BYTES) return name;
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 16);
  return `${name.slice(0, MOST_NAME_BYTES)}~${hash}`;
}

/**
 * A line as it was written; undefined for what is none. One of a host before has no number in this
 * host's order.
 * @param {string} key
 * @param {string} text
 * @param {number} openedAt when this host began
 * @returns {Line | undefined}
 */
function lineOf(key, text, openedAt) {
  const [, time = '', seq, pid, stream, line = ''] =
    /^(\S{24}) (\d+) (\d+) (stdout|stderr) ([^]*)$/.exec(text) ?? [];
  const at = Date.parse(time);
  if (Number.isNaN(at)) return undefined;
  return {
    seq: at < openedAt ? 0 : Number(seq),
    at,
    key,
    pid: Number(pid),
    stream: /** @type {Line['stream']} */ (stream),
    line,
  };
}

/** The end of a file, from the beginning of a line. @param {string} path @param {number} most */
async function endOf(path, most) {
  let file;
  try {
    file = await open(path, 'r');
    const { size } = await file.stat();
    const from = Math.max(0, size - most);
    const bytes = Buffer.alloc(size - from);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, from);
    const text = bytes.toString('utf8', 0, bytesRead);
    return from === 0 ? text : text.slice(text.indexOf('\n') + 1);
  } catch {
    // It has been removed meanwhile, or cannot be read: the lines in memory are there all the same.
    return '';
  } finally {
    await file?.close();
  }
}

/** @param {Buffer} bytes @param {number} most */
function lastLinesOf(bytes, most) {
  const end = bytes.subarray(bytes.length - most);
  return end.subarray(end.indexOf(10) + 1);
}

/**
 * Makes a directory and those above it. Not by `recursive`, which never returns where the kernel says
 * of one that can never be made that it is not there, as below `/proc`.
 * @param {string} directory
 */
export async function makeDirectory(directory) {
  const make = () => mkdir(directory, { mode: 0o700 });
  try {
    await make();
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code === 'EEXIST' && (await stat(directory)).isDirectory()) return;
    if (code !== 'ENOENT' || dirname(directory) === directory) throw error;
    await makeDirectory(dirname(directory));
    await make();
  }
}
