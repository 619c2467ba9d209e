/**
 * Images on disk. A key has one directory below `imageDir`:
 *
 *     app-0f1e…/                its name is made from the key
 *       current.json            { key, pid, image }: names the current image
 *       3b7c…/                  the image, written by the checkpoint command
 *
 * `current.json` is replaced by a rename, so an image is there as a whole or not at all, and it is
 * read from the directory that the command wrote it to. Everything else in the directory is left
 * over from an interrupted operation; the next checkpoint removes it.
 */
import { createHash, randomUUID } from 'node:crypto';
import {
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  writeFile,
} from 'node:fs/promises';
import { checkpointFailed } from '../errors.js';
import { parentOf } from '../checks.js';

/** The mode of directories for images, which hold the memory of tenants. */
const OWNER_ONLY_MODE = 0o700;
const POINTER = 'current.json';
/** A UUID of `randomUUID`; nothing that could be a path. */
const IMAGE_NAME = /^[0-9a-f-]{36}$/;
/** How much of the key is in its directory's name, for people who look for it. */
const READABLE_CHARACTERS = 40;

/**
 * The directory of a key: short, lower-case ASCII, so that no file system confuses two of them.
 * The hash tells keys apart.
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
 * The current image of the key; `null` if there is none, or if `current.json` is another key's or
 * not readable.
 * @param {string} directory
 * @param {string} key
 * @returns {Promise<{ dir: string, pid: number } | null>}
 */
export async function current(directory, key) {
  if (!(await isOwnDirectory(directory))) return null;
  const pointer = await readPointer(directory);
  if (pointer?.key !== key) return null;
  const dir = `${directory}/${pointer.image}`;
  return (await isOwnDirectory(dir)) ? { dir, pid: pointer.pid } : null;
}

/**
 * Makes an empty directory for a new image, which is not the current one yet.
 * @param {string} directory
 */
export async function begin(directory) {
  await mkdir(directory, { recursive: true, mode: OWNER_ONLY_MODE });
  // Throws if the directory already existed and is another user's.
  await isOwnDirectory(directory);
  await sweep(directory);
  const image = `${directory}/${randomUUID()}`;
  await mkdir(image, { mode: OWNER_ONLY_MODE });
  return image;
}

/**
 * Makes the image the current one, durably, and removes the one before it.
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
  // The next checkpoint tries again what could not be removed.
  await sweep(directory).catch(() => {});
}

/**
 * Removes an image that was not published. What cannot be removed now the next `begin` removes.
 * @param {string} directory
 * @param {string} image
 */
export async function discard(directory, image) {
  await rm(image, { recursive: true, force: true }).catch(() => {});
  await rm(`${directory}/${POINTER}.next`, { force: true }).catch(() => {});
  // Fails, and is to fail, if an older image is in it.
  await rmdir(directory).catch(() => {});
}

/** Removes the key's image, `current.json` first. @param {string} directory */
export async function drop(directory) {
  if (!(await isOwnDirectory(directory))) return;
  await rm(`${directory}/${POINTER}`, { force: true });
  await flush(directory);
  await rm(directory, { recursive: true, force: true });
}

/** Removes everything but the current image. @param {string} directory */
async function sweep(directory) {
  const pointer = await readPointer(directory);
  for (const name of await readdir(directory)) {
    if (pointer !== null && (name === POINTER || name === pointer.image)) continue;
    await rm(`${directory}/${name}`, { recursive: true, force: true });
  }
}

/**
 * @param {string} directory
 * @returns {Promise<{ key: string, pid: number, image: string } | null>}
 */
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
 * Whether the path is a directory of this user's; false if there is nothing. Throws for another
 * user's: below a directory that others can write to, such as `/tmp`, another user could plant an
 * image for the host to run.
 * @param {string} path
 */
async function isOwnDirectory(path) {
  const stats = await lstat(path).catch(nullIfAbsent);
  if (stats === null) return false;
  if (stats.isDirectory() && stats.uid === process.geteuid?.()) return true;
  throw checkpointFailed(
    `${path} is not a directory of this user's; remove it, or use another imageDir`,
  );
}

/** @param {NodeJS.ErrnoException} error @returns {null} */
function nullIfAbsent(error) {
  if (error.code === 'ENOENT') return null;
  throw error;
}

/**
 * Writes the whole image to disk: otherwise a power failure could leave a current image with pages
 * missing.
 * @param {string} directory
 */
async function flushAll(directory) {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory()) await flushAll(path);
    else if (entry.isFile()) await flush(path);
  }
  await flush(directory);
}

/**
 * Errors of `fsync` that are ignored: for files that a command made as another user, and for
 * directories on file systems that cannot flush them.
 */
const CANNOT_BE_FLUSHED = new Set(['EACCES', 'EPERM', 'EINVAL', 'ENOTSUP']);

/** @param {string} path */
async function flush(path) {
  let file;
  try {
    file = await open(path, 'r');
    await file.sync();
  } catch (error) {
    if (!CANNOT_BE_FLUSHED.has(/** @type {NodeJS.ErrnoException} */ (error).code ?? ''))
      throw error;
  } finally {
    await file?.close();
  }
}
