/**
 * Images on disk. A key has one directory below `imageDir`:
 *
 *     app-0f1e…/                its name is made from the key
 *       current.json            { key, pid, image }: which image counts
 *       3b7c…/                  the image, written by the checkpoint command
 *
 * What counts is what `current.json` names, and that file is replaced by a rename: an image is there as a whole or not
 * at all, and the place that a command wrote it to is the place that it is read from. Everything else in the directory
 * is left over from something that was interrupted, and removed by the next checkpoint.
 */
import { createHash, randomUUID } from 'node:crypto';
import { lstat, mkdir, open, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { checkpointFailed } from '../errors.js';
import { parentOf } from '../checks.js';

/** Images hold the memory of tenants. */
const OURS_ALONE = 0o700;
const POINTER = 'current.json';
/** What `randomUUID` makes, and nothing that could be a path. */
const IMAGE_NAME = /^[0-9a-f-]{36}$/;
/** Of the key, so that a person finds it. */
const READABLE_CHARACTERS = 40;

/**
 * The directory of a key. Lower case, plain ASCII and short, so that no file system takes two for one; what tells keys
 * apart is the hash.
 * @param {string} imageDir absolute
 * @param {string} key
 */
export function directoryOf(imageDir, key) {
  const readable = key
    .slice(0, READABLE_CHARACTERS)
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, '-');
  const name = `${readable}-${createHash('sha256').update(key).digest('hex')}`;
  return imageDir === '/' ? `/${name}` : `${imageDir}/${name}`;
}

/**
 * The image that counts, `null` when there is none: neither one that is another key's, nor one that is not whole.
 * @param {string} directory
 * @param {string} key
 * @returns {Promise<{ dir: string, pid: number } | null>}
 */
export async function current(directory, key) {
  if (!(await isOurDirectory(directory))) return null;
  const pointer = await readPointer(directory);
  if (pointer?.key !== key) return null;
  const dir = `${directory}/${pointer.image}`;
  return (await isOurDirectory(dir)) ? { dir, pid: pointer.pid } : null;
}

/** Makes an empty directory for a new image, which does not count yet. @param {string} directory */
export async function begin(directory) {
  await mkdir(directory, { recursive: true, mode: OURS_ALONE });
  // Throws when it was there before and is another user's.
  await isOurDirectory(directory);
  await sweep(directory);
  const image = `${directory}/${randomUUID()}`;
  await mkdir(image, { mode: OURS_ALONE });
  return image;
}

/**
 * From here on the image counts, also after a power failure, and the one before it is gone.
 * @param {string} directory
 * @param {string} image
 * @param {{ key: string, pid: number }} whose
 */
export async function publish(directory, image, { key, pid }) {
  const name = image.slice(directory.length + 1);
  const next = `${directory}/${POINTER}.next`;
  await writeFile(next, JSON.stringify({ key, pid, image: name }), { mode: 0o600 });
  await flushAll(image);
  await flush(next);
  await rename(next, `${directory}/${POINTER}`);
  await flush(directory);
  await flush(parentOf(directory));
  // The next checkpoint tries again.
  await sweep(directory).catch(() => {});
}

/** Takes an image back that never counted. What cannot be removed now is removed later. @param {string} directory @param {string} image */
export async function discard(directory, image) {
  await rm(image, { recursive: true, force: true }).catch(() => {});
  await rm(`${directory}/${POINTER}.next`, { force: true }).catch(() => {});
  // Stays if there is an older image in it.
  await rmdir(directory).catch(() => {});
}

/** @param {string} directory */
export async function drop(directory) {
  if (!(await isOurDirectory(directory))) return;
  await rm(`${directory}/${POINTER}`, { force: true });
  await flush(directory);
  await rm(directory, { recursive: true, force: true });
}

/** Removes everything but the image that counts. @param {string} directory */
async function sweep(directory) {
  const pointer = await readPointer(directory);
  for (const name of await readdir(directory)) {
    if (pointer !== null && (name === POINTER || name === pointer.image)) continue;
    await rm(`${directory}/${name}`, { recursive: true, force: true });
  }
}

/** @param {string} directory @returns {Promise<{ key: string, pid: number, image: string } | null>} */
async function readPointer(directory) {
  const text = await readFile(`${directory}/${POINTER}`, 'utf8').catch(nullIfAbsent);
  try {
    const { key, pid, image } = JSON.parse(text ?? '{}');
    return typeof key === 'string' && Number.isInteger(pid) && IMAGE_NAME.test(image)
      ? { key, pid, image }
      : null;
  } catch {
    return null;
  }
}

/**
 * False when there is nothing. Another user's is refused: in a directory that others can write to, such as a temporary
 * one, they could have put an image there for us to run.
 * @param {string} path
 */
async function isOurDirectory(path) {
  const stats = await lstat(path).catch(nullIfAbsent);
  if (stats === null) return false;
  if (stats.isDirectory() && stats.uid === process.geteuid?.()) return true;
  throw checkpointFailed(`${path} is not a directory of this user's; remove it, or use another imageDir`);
}

/** @param {NodeJS.ErrnoException} error @returns {null} */
function nullIfAbsent(error) {
  if (error.code === 'ENOENT') return null;
  throw error;
}

/** Without this a power failure could leave an image that counts and lacks some of its pages. @param {string} directory */
async function flushAll(directory) {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory()) await flushAll(path);
    else if (entry.isFile()) await flush(path);
  }
  await flush(directory);
}

/**
 * What cannot be flushed is passed over: files that a command made as another user, and directories on file systems
 * that know no such thing.
 */
const CANNOT_BE_FLUSHED = new Set(['EACCES', 'EPERM', 'EINVAL', 'ENOTSUP']);

/** @param {string} path */
async function flush(path) {
  let file;
  try {
    file = await open(path, 'r');
    await file.sync();
  } catch (error) {
    if (!CANNOT_BE_FLUSHED.has(/** @type {NodeJS.ErrnoException} */ (error).code ?? '')) throw error;
  } finally {
    await file?.close();
  }
}
