/**
 * The directory in which a socket is made before it appears at its path. It is named by the process
 * that makes it, so that the next host can remove what one that was killed meanwhile has left.
 */
import { lstat, mkdir, readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';

const SOCKET = 's';
const TOKEN = 't';

const NAME = /^\.rt-([\da-z]+)-([\da-z]+)-[\da-z]+$/;
/** Starts are told apart up to this: the path of a socket has no room for more. */
const STARTS = 36 ** 4;
const RADIX = 36;

/**
 * Makes one, which no other user can enter, and removes those of this user's processes that are gone.
 *
 * @param {string} directory of the path at which the socket is to appear
 * @returns {Promise<{ socket: string, token: string, remove: () => Promise<void> }>}
 */
export async function makePlace(directory) {
  await removeLeftovers(directory).catch(() => {});
  const start = await startOf(process.pid);
  const own = `.rt-${process.pid.toString(RADIX)}-${(start ?? 0).toString(RADIX)}`;
  for (let number = 0; ; number += 1) {
    // A process may open several at a time.
    const place = join(directory, `${own}-${number.toString(RADIX)}`);
    try {
      await mkdir(place, { mode: 0o700 });
    } catch (error) {
      if (Reflect.get(Object(error), 'code') === 'EEXIST') continue;
      throw error;
    }
    return {
      socket: join(place, SOCKET),
      token: join(place, TOKEN),
      remove: () => removePlace(place),
    };
  }
}

/** @param {string} place */
async function removePlace(place) {
  await rm(join(place, SOCKET), { force: true });
  await rm(join(place, TOKEN), { force: true });
  await rmdir(place).catch(() => {});
}

/** @param {string} directory */
async function removeLeftovers(directory) {
  for (const name of await readdir(directory)) {
    const [, pid, start] = NAME.exec(name) ?? [];
    if (pid === undefined || start === undefined) continue;
    const place = join(directory, name);
    const found = await lstat(place).catch(() => undefined);
    if (!found?.isDirectory() || found.uid !== process.getuid?.()) continue;
    const isThere = (await startOf(parseInt(pid, RADIX))) === parseInt(start, RADIX);
    if (!isThere) await removePlace(place).catch(() => {});
  }
}

/**
 * When the process was started, in ticks since the boot; undefined if it has ended.
 *
 * @param {number} pid
 */
async function startOf(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name of the program, in parentheses, may have any character.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[18]);
  return state === 'Z' || Number.isNaN(ticks) ? undefined : ticks % STARTS;
}
