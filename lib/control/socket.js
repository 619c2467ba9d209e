/** The unix socket: where it is, that only its user can connect, and who else listens there. */
import { chmod, link, lstat, mkdir, mkdtemp, rm, rmdir, unlink } from 'node:fs/promises';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { cannotListen } from '../errors.js';
import { defaultPath, ownDirectory } from './default-path.js';

/** The longest path of a unix socket on Linux. */
const MOST_PATH_BYTES = 107;
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
 * can enter, and appears at its path with its mode.
 * @param {import('node:http').Server} server
 * @param {string} path
 * @returns {Promise<() => Promise<void>>} removes the socket
 */
export async function listenAt(server, path) {
  if (Buffer.byteLength(path) > MOST_PATH_BYTES) {
    throw refused(
      `cannot listen at ${path}: the path of a unix socket has ${MOST_PATH_BYTES} bytes at most`,
      'ENAMETOOLONG',
    );
  }
  const directory = await mkdtemp(join(dirname(path), '.rt-')).catch((error) => {
    throw refused(`cannot listen at ${path}: ${error.message}`, error.code);
  });
  const hidden = join(directory, 's');
  try {
    await listening(server, hidden);
    await chmod(hidden, 0o600);
    await publish(hidden, path);
    const { ino, dev } = await lstat(path);
    return async () => {
      const found = await lstat(path).catch(() => undefined);
      // Another host may have taken the place meanwhile.
      if (found?.ino === ino && found.dev === dev) await unlink(path).catch(() => {});
    };
  } catch (error) {
    server.close();
    if (Reflect.get(Object(error), 'code') === 'ERR_RUNTIME_LISTEN') throw error;
    const { message, code } = /** @type {NodeJS.ErrnoException} */ (error);
    throw refused(`cannot listen at ${path}: ${message}`, code);
  } finally {
    await rm(hidden, { force: true });
    await rmdir(directory).catch(() => {});
  }
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
 * Gives the socket its path. What a host that is gone has left there makes room.
 * @param {string} hidden
 * @param {string} path
 */
async function publish(hidden, path) {
  for (let isSecond = false; ; isSecond = true) {
    try {
      return await link(hidden, path);
    } catch (error) {
      const { code } = /** @type {NodeJS.ErrnoException} */ (error);
      if (code !== 'EEXIST' || isSecond) throw error;
    }
    const found = await lstat(path);
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
}

/**
 * Who listens at the path; undefined: nobody.
 * @param {string} path
 * @returns {Promise<{ pid?: number } | undefined>}
 */
function ownerOf(path) {
  return new Promise((resolve) => {
    const asked = request({ socketPath: path, path: '/host', agent: false, timeout: ASKED_MS });
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
