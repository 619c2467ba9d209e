/** The request that follows a redirect, by the rules of the Fetch standard. */
import { egressFailed } from '../errors.js';

/** @typedef {import('./exchange.js').Step} Step */

const redirectStatuses = [301, 302, 303, 307, 308];
const headersOfBody = ['content-encoding', 'content-language', 'content-location', 'content-type'];
const headersOfOrigin = ['authorization', 'cookie', 'proxy-authorization'];

/** The limit of the Fetch standard. */
const MAX_REDIRECTS = 20;

/**
 * The request that follows a redirect; undefined if the answer is no redirect, or `mode` is
 * `manual`. Throws if the redirect may not be followed.
 * @param {Step} step
 * @param {import('node:http').IncomingMessage} message
 * @param {import('./guard.js').EgressRequest['redirect']} mode
 * @param {number} redirects that have been followed so far
 * @returns {Step | undefined}
 */
export function nextStep(step, message, mode, redirects) {
  const next = mode === 'manual' ? undefined : redirected(step, message);
  if (next === undefined) return undefined;
  if (mode === 'error') throw egressFailed(`redirected to ${next.url.origin}`);
  if (redirects === MAX_REDIRECTS)
    throw egressFailed(`redirected more than ${MAX_REDIRECTS} times`);
  return next;
}

/**
 * @param {Step} step
 * @param {import('node:http').IncomingMessage} message
 * @returns {Step | undefined}
 */
function redirected(step, { statusCode = 0, headers }) {
  if (!redirectStatuses.includes(statusCode) || headers.location === undefined) return undefined;
  // Node reads headers as Latin-1, and servers write UTF-8.
  const location = Buffer.from(headers.location, 'latin1').toString();
  const url = URL.canParse(location, step.url.href) ? new URL(location, step.url.href) : undefined;
  if (!url)
    throw egressFailed(
      `redirected to ${JSON.stringify(location.slice(0, 200))}, which is not a URL`,
    );
  if (url.hash === '') url.hash = step.url.hash;

  const becomesGet =
    statusCode === 303
      ? step.method !== 'GET' && step.method !== 'HEAD'
      : statusCode <= 302 && step.method === 'POST';
  if (step.body && 'chunks' in step.body && statusCode !== 303) {
    throw egressFailed('redirected, and the body is a stream, which cannot be sent again');
  }
  const kept = new Headers(step.headers);
  if (becomesGet) for (const name of headersOfBody) kept.delete(name);
  if (url.origin !== step.url.origin) for (const name of headersOfOrigin) kept.delete(name);
  return becomesGet
    ? { url, method: 'GET', headers: kept, body: undefined }
    : { url, method: step.method, headers: kept, body: step.body };
}
