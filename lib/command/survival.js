/** Names of hosts that tenants outlive, as the commands make and tell them. */
import { createHash } from 'node:crypto';
import { several, durationInWords } from './words.js';

/** What of a host's name is in the name that is made for it. */
const MOST_LETTERS = 40;

/**
 * The name of `--survive on`: another one for each directory.
 *
 * @param {string} host its name
 * @param {string} root
 */
export function nameOfHost(host, root) {
  const letters = host
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, MOST_LETTERS);
  return `${letters || 'host'}-${createHash('sha256').update(root).digest('hex').slice(0, 8)}`;
}

/**
 * @param {import('../survive/names.js').Owned} owned that no host has
 * @param {number} [now]
 */
export const leftInWords = ({ name, runs, sinceMs }, now = Date.now()) =>
  `${several(runs, 'tenant')} of ${name} ${runs === 1 ? 'runs' : 'run'} on without a host, for ` +
  `${durationInWords(now - sinceMs)} now: start one with --survive ${name}, or end them with ` +
  `absolutejs-runtime end ${name}`;
