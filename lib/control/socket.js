/** The unix socket: where it is, that only its user can connect, and who else listens there. */
import { chmod, link, lstat, mkdir, rename, unlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { dirname } from 'node:path';
import { cannotListen } from '../errors.js';
import { LOOK_MS } from '../leaving.js';
import { defaultPath, MOST_PATH_BYTES, ownDirectory } from '../socket-paths.js';
import { makePlace } from './making-place.js';
import { fieldsFor, fileTextOf, tokenFileOf } from './token.js';

/** How long the one who listens already has to say who it is. */
const ASKED_MS = 1_000;

/** @param {string} problem @param {string} [errno] @param {Record<string, unknown>} [fields] */
const refused = (problem, errno, fields) =>
  Object.assign(cannotListen(problem, errno, 'the control'), fields);

/** The default path. Its directory is made if it is the user's own, and is checked. */
export async function readyDefaultPath() {
  const path = defaultPath();
  const own = ownDirectory();
  if (dirname(path) !== own) return path;
  const uid = process.getuid?.() ?? 0;
  await mkdir(own, { mode: 0o700 }).catch((error) => {
    if (error.code !== 'EEXIST') throw refused(`cannot make ${own}: ${error.message}`, error.code);
  });
  const found = await lstat(own);
  if (found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0) return path;
  throw refused(
    `does not listen in ${own}, which others could write to: it must be a directory of user ${uid} with mode 0700. ` +
      'Remove it, or set XDG_RUNTIME_DIR, or give a path',
    'EACCES',
  );
}

/**
 * Listens at the path, for this user alone. The socket is made in a directory that nobody else
 * can enter, and appears at its path with its mode, after the file with its token.
 * @param {import('node:http').Server} server
 * @param {string} path
 * @param {string} token
 * @returns {Promise<() => Promise<void>>} removes both
 */
export async function listenAt(server, path, token) {
  if (Buffer.byteLength(path) > MOST_PATH_BYTES) {
    throw refused(
      `cannot listen at ${path}: the path of a unix socket has ${MOST_PATH_BYTES} bytes at most`,
      'ENAMETOOLONG',
    );
  }
  const hidden = await makePlace(dirname(path)).catch((error) => {
    throw refused(`cannot listen at ${path}: ${error.message}`, error.code);
  });
  try {
    await listening(server, hidden.socket);
    await chmod(hidden.socket, 0o600);
    await writeFile(hidden.token, fileTextOf(token), { mode: 0o600 });
    await publish(hidden.socket, hidden.token, path);
    const removals = await Promise.all([path, tokenFileOf(path)].map(removalOf));
    return async () => void (await Promise.all(removals.map((remove) => remove())));
  } catch (error) {
    server.close();
    if (Reflect.get(Object(error), 'code') === 'ERR_RUNTIME_LISTEN') throw error;
    const { message, code } = /** @type {NodeJS.ErrnoException} */ (error);
    throw refused(`cannot listen at ${path}: ${message}`, code);
  } finally {
    await hidden.remove();
  }
}

/** @param {string} path */
async function removalOf(path) {
  const { ino, dev } = await lstat(path);
  return async () => {
    const found = await lstat(path).catch(() => undefined);
    // Another host may have taken the place meanwhile.
    if (found?.ino === ino && found.dev === dev) await unlink(path).catch(() => {});
  };
}

/** @param {import('node:http').Server} server @param {string} path */
function listening(server, path) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve(undefined);
    });
  });
}

/**
 * Gives the socket its path, and the token its own before that: who sees the socket can read it. What
 * a host that is gone has left there makes room.
 * @param {string} hidden
 * @param {string} hiddenToken
 * @param {string} path
 */
async function publish(hidden, hiddenToken, path) {
  await makeRoom(path);
  await rename(hiddenToken, tokenFileOf(path));
  await link(hidden, path);
}

/** @param {string} path */
async function makeRoom(path) {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw refused(`does not listen at ${path}: there is a file, which is no socket`, 'EEXIST');
  }
  const owner = await ownerOf(path);
  if (owner !== undefined) {
    const who = owner.pid === undefined ? 'another program' : `process ${owner.pid}`;
    const hint = 'give each host a path of its own, or end that one first';
    throw refused(
      `does not listen at ${path}: ${who} listens there already; ${hint}`,
      'EADDRINUSE',
      owner,
    );
  }
  await unlink(path);
}

/**
 * Waits until no other host listens at the path, for so long at most. One that leaves says by
 * nothing else that it does.
 * @param {string} path
 * @param {number} patienceMs
 */
export async function whenLeft(path, patienceMs) {
  const until = performance.now() + patienceMs;
  const isThere = async () =>
    (await lstat(path).catch(() => undefined))?.isSocket() === true &&
    (await ownerOf(path)) !== undefined;
  while (performance.now() < until && (await isThere())) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/**
 * Who listens at the path; undefined: nobody.
 * @param {string} path
 * @returns {Promise<{ pid?: number } | undefined>}
 */
function ownerOf(path) {
  return new Promise((resolve) => {
    const headers = fieldsFor(path);
    const socketPath = path;
    const asked = request({ socketPath, path: '/host', agent: false, headers, timeout: ASKED_MS });
    const isThere = () => resolve({});
    asked.on('timeout', () => asked.destroy());
    asked.on('error', (/** @type {NodeJS.ErrnoException} */ { code }) =>
      code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'FailedToOpenSocket'
        ? resolve(undefined)
        : isThere(),
    );
    asked.on('response', (answer) => {
      /** @type {Buffer[]} */
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('error', isThere);
      answer.on('end', () => resolve({ pid: pidIn(Buffer.concat(parts).toString()) }));
    });
    asked.end();
  });
}

/** @param {string} text @returns {number | undefined} */
function pidIn(text) {
  try {
    const { pid } = JSON.parse(text);
    return Number.isInteger(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}
