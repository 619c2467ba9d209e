/**
 * The token of a control: a file beside its socket, which only its user can read, and which tenants
 * within walls cannot. The mode of the socket alone does not keep those out that run as the host's
 * own user: a kernel before Landlock 9 lets them connect to any path.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';

const TOKEN_BYTES = 32;

/** The file holds the header field whole: `curl --header @control.sock.token`. */
const FIELD = 'Authorization: Bearer ';

/** @param {string} path of the socket */
export const tokenFileOf = (path) => `${path}.token`;

export const newToken = () => randomBytes(TOKEN_BYTES).toString('base64url');

/** @param {string} token */
export const fileTextOf = (token) => `${FIELD}${token}\n`;

/**
 * The header fields that a client of the socket sends; none where the file cannot be read.
 * @param {string} path of the socket
 * @returns {{ authorization?: string }}
 */
export function fieldsFor(path) {
  try {
    const text = readFileSync(tokenFileOf(path), 'utf8').trim();
    return { authorization: text.slice(text.indexOf(':') + 1).trim() };
  } catch {
    return {};
  }
}

/**
 * @param {import('node:http').IncomingHttpHeaders} headers
 * @param {string} token
 */
export function hasToken({ authorization = '' }, token) {
  const [given, expected] = [Buffer.from(authorization), Buffer.from(`Bearer ${token}`)];
  return given.length === expected.length && timingSafeEqual(given, expected);
}
