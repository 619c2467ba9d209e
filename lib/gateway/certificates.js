/** Certificates as users give them: checked as far as JavaScript can, and as Rust takes them. */
import { copyOf, fieldsOf, shown } from '../checks.js';
import { invalidOption } from '../errors.js';

/** @typedef {{ cert: string, key: string, names?: string[] }} Certificate */

/** More certificates than a gateway has: a longer array is a mistake. */
const MOST_CERTIFICATES = 100_000;

/**
 * One certificate, or several by name.
 * @param {string} path
 * @param {unknown} value
 * @returns {Certificate[]}
 */
export function certificatesAt(path, value) {
  if (!Array.isArray(value)) return [certificateAt(path, value, ['cert', 'key'])];
  const all = copyOf(value, MOST_CERTIFICATES);
  if (all === undefined || all.length === 0) {
    throw invalidOption(`${path} must be a certificate or several, got ${shown(value)}`);
  }
  return all.map((one, index) => certificateAt(`${path}[${index}]`, one, ['cert', 'key', 'names']));
}

/**
 * @param {string} path
 * @param {unknown} value
 * @param {string[]} fields that it may have
 * @returns {Certificate}
 */
export function certificateAt(path, value, fields) {
  const given = /** @type {Record<string, unknown>} */ (value);
  const { cert, key, names } = fieldsOf(path, given, fields);
  return {
    cert: pemAt(`${path}.cert`, cert, 'CERTIFICATE'),
    key: pemAt(`${path}.key`, key, 'PRIVATE KEY'),
    ...(names === undefined ? {} : { names: namesAt(`${path}.names`, names) }),
  };
}

/**
 * A value that does not fit is never shown: it may be a key.
 * @param {string} path
 * @param {unknown} value
 * @param {string} kind
 */
export function pemAt(path, value, kind) {
  if (typeof value === 'string' && value.includes(`${kind}-----`)) return value;
  const got = typeof value === 'string' ? 'a text without one' : shown(value);
  throw invalidOption(
    `${path} must be PEM text with a "${kind}" block (the text, not the file's name), got ${got}`,
  );
}

/** @param {string} path @param {unknown} value @returns {string[]} */
function namesAt(path, value) {
  const names = copyOf(value, MOST_CERTIFICATES);
  const isName = (/** @type {unknown} */ name) =>
    typeof name === 'string' && /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/i.test(name);
  if (names === undefined || names.length === 0 || !names.every(isName)) {
    throw invalidOption(
      `${path} must be an array of names such as example.com or *.example.com, got ${shown(value)}`,
    );
  }
  return names.map((name) => String(name).toLowerCase());
}
