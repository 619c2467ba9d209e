/**
 * What Rust asks JavaScript: the key of a host, the page of a refusal, the certificate of a
 * handshake. Each question has a ticket and is answered once, with `undefined` where the user's
 * function throws, or returns what cannot be used. A question whose answer does not come has its
 * end in Rust.
 */
import { assertKey, isPromise, isRecord } from '../checks.js';
import { certificateAt } from './certificates.js';

/** @typedef {import('./options.js').Settings} Settings */

/**
 * @param {Settings} settings
 * @param {{ answerAsk: Function, answerPage: Function, answerCertificate: Function }} native
 */
export function createQuestions({ ask, page, certificate }, native) {
  return {
    /** @param {any} notice */
    ask({ ticket, host, method, path, address }) {
      answer(
        () => ask?.({ host, method, path, address }),
        keyOf,
        (key) => native.answerAsk(ticket, key !== undefined, key ?? undefined),
      );
    },
    /** @param {any} notice */
    page({ ticket, status, code, key = null, retryAfterMs }) {
      const refusal = {
        status,
        code,
        key,
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      };
      answer(
        () => page?.(refusal),
        pageOf,
        (answered) => native.answerPage(ticket, answered),
      );
    },
    /** @param {any} notice */
    certificate({ ticket, serverName = null }) {
      answer(
        () => certificate?.(serverName),
        certificateOf,
        (answered) => native.answerCertificate(ticket, answered),
      );
    },
  };
}

/**
 * @template T, R
 * @param {() => T | Promise<T>} call calls the user's function
 * @param {(result: any) => R | undefined} read checks what it has returned
 * @param {(answer: R | undefined) => void} give
 */
function answer(call, read, give) {
  const failed = () => give(undefined);
  try {
    const result = call();
    if (isPromise(result)) Promise.resolve(result).then(read).then(give, failed);
    else give(read(result));
  } catch {
    failed();
  }
}

/** `null`: there is none. @param {unknown} key @returns {string | null} */
function keyOf(key) {
  if (key === null) return null;
  assertKey(key);
  return key;
}

/** What the gateway itself says in every answer. */
const OWN_HEADERS = [
  ...['connection', 'content-length', 'date', 'keep-alive', 'retry-after', 'te', 'trailer'],
  ...['transfer-encoding', 'upgrade'],
];

/**
 * @param {any} page
 * @returns {{ headers: string[], body: Uint8Array } | undefined} headers: name, value, name, ...
 */
function pageOf(page) {
  if (!isRecord(page)) return undefined;
  const { headers = {}, body } = page;
  const isBody = typeof body === 'string' || body instanceof Uint8Array;
  if (!isBody || !isRecord(headers)) return undefined;
  const fields = Object.entries(headers);
  if (!fields.every(isField)) return undefined;
  const hasType = fields.some(([name]) => name.toLowerCase() === 'content-type');
  if (!hasType) fields.push(['content-type', 'text/html; charset=utf-8']);
  return {
    headers: /** @type {string[]} */ (fields.flat()),
    body: typeof body === 'string' ? new TextEncoder().encode(body) : body,
  };
}

/** @param {[string, unknown]} field */
function isField([name, value]) {
  const isName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name);
  const isOwn = OWN_HEADERS.includes(name.toLowerCase());
  return isName && !isOwn && typeof value === 'string' && /^[\t -~]*$/.test(value);
}

/** @param {any} certificate */
const certificateOf = (certificate) =>
  certificate === null || certificate === undefined
    ? undefined
    : certificateAt('the certificate', certificate, ['cert', 'key']);
