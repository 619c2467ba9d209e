/** Asks a host over its control socket: once, or as a stream of server-sent events. */
import { statSync } from 'node:fs';
import { request } from 'node:http';
import { fieldsFor } from '../control/token.js';
import { defaultPath } from '../socket-paths.js';
import { Failure, UsageError } from './mistakes.js';
import { harmless } from './text.js';

/** A host that takes longer is stuck. Starts and stops of tenants take as long as they take. */
const ANSWER_TIMEOUT_MS = 10_000;
const RECONNECT_MS = 500;

/**
 * @typedef {object} Client
 * @property {string} path of the socket
 * @property {(path: string) => Promise<any>} get
 * @property {(path: string) => Promise<any>} post
 * @property {(path: string, hooks: Hooks) => Promise<void>} follow
 */

/**
 * @typedef {object} Hooks
 * @property {(event: string, data: any) => void} onEvent
 * @property {() => void} [onLost] the host does not answer any more, and is asked again and again
 * @property {() => void} [onBack]
 * @property {boolean} [isOnce] ends when the connection does, instead of asking again
 */

/** @param {Record<string, any>} options @param {NodeJS.ProcessEnv} env @returns {Client} */
export function clientOf(options, env) {
  const path = options.control ?? defaultPath(env);
  const ask = (/** @type {string} */ method, /** @type {string} */ target) =>
    answer(path, method, target);
  return {
    path,
    get: (target) => ask('GET', target),
    post: (target) => ask('POST', target),
    follow: (target, hooks) => follow(path, target, hooks),
  };
}

/** The path of a tenant in the API. @param {string} key @param {string} [what] */
export const tenantPath = (key, what) =>
  `/tenants/${encodeURIComponent(key)}${what === undefined ? '' : `/${what}`}`;

/** @param {Record<string, string | number | readonly string[] | undefined>} query */
export function queryOf(query) {
  const parts = Object.entries(query).flatMap(([name, value]) =>
    [value]
      .flat()
      .flatMap((one) => (one === undefined ? [] : `${name}=${encodeURIComponent(one)}`)),
  );
  return parts.length > 0 ? `?${parts.join('&')}` : '';
}

/**
 * @param {string} path
 * @param {string} method
 * @param {string} target
 * @param {Record<string, string>} headers
 * @returns {Promise<import('node:http').IncomingMessage>}
 */
function open(path, method, target, headers) {
  return new Promise((resolve, reject) => {
    const fields = { ...fieldsFor(path), ...headers };
    const asked = request({
      socketPath: path,
      method,
      path: target,
      headers: fields,
      agent: false,
    });
    asked.on('response', resolve);
    asked.on('error', (error) => reject(notReached(path, error)));
    if (method === 'GET') {
      asked.setTimeout(ANSWER_TIMEOUT_MS, () => asked.destroy(new Error('it does not answer')));
      asked.on('response', () => asked.setTimeout(0));
    }
    asked.end();
  });
}

/** @param {string} path @param {string} method @param {string} target */
async function answer(path, method, target) {
  const response = await open(path, method, target, { accept: 'application/json' });
  const text = await textOf(response).catch((error) => {
    throw notReached(path, error);
  });
  return parsed(path, response.statusCode ?? 0, text);
}

/** @param {string} path @param {number} status @param {string} text */
function parsed(path, status, text) {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Failure(`What answers at ${harmless(path)} is not a host of @absolutejs/runtime.`);
  }
  if (status < 400) return body;
  const { code, message = `HTTP ${status}`, key } = body?.error ?? {};
  if (code === 'BAD_QUERY') throw new UsageError(message);
  throw new Failure(message, code, key);
}

/** @param {import('node:http').IncomingMessage} response */
async function textOf(response) {
  response.setEncoding('utf8');
  let text = '';
  for await (const chunk of response) text += chunk;
  return text;
}

/** @param {string} path @param {any} error */
function notReached(path, error) {
  const where = harmless(path);
  const elsewhere = 'start one with absolutejs-runtime serve, or name its socket with --control';
  const isSocket = statSync(path, { throwIfNoEntry: false })?.isSocket() !== false;
  if (error.code === 'ECONNREFUSED' && !isSocket) {
    return new Failure(`${where} is no socket: name that of a host with --control.`, 'ENOTSOCK');
  }
  const why = {
    ENOENT: `No host is running: there is no socket ${where}; ${elsewhere}`,
    ECONNREFUSED: `No host is running: the one that listened at ${where} is gone; ${elsewhere}`,
    EACCES: `The host at ${where} belongs to another user`,
    EPERM: `The host at ${where} belongs to another user`,
  }[String(error.code)];
  const text = why ?? `The host at ${where} cannot be asked: ${error.message}`;
  return new Failure(`${text}.`, error.code ?? 'ERR_NO_HOST');
}

/**
 * Follows a stream until it ends for good. A connection that is lost is opened again, and goes on
 * after the last event that had an `id`.
 *
 * @param {string} path
 * @param {string} target
 * @param {Hooks} hooks
 */
async function follow(path, target, { onEvent, onLost, onBack, isOnce = false }) {
  let lastId = '';
  let isFirst = true;
  let isLost = false;
  for (;;) {
    try {
      const headers = { accept: 'text/event-stream', ...(lastId && { 'last-event-id': lastId }) };
      const response = await open(path, 'GET', target, headers);
      if (response.statusCode !== 200) {
        parsed(path, response.statusCode ?? 0, await textOf(response));
        return;
      }
      if (isLost) onBack?.();
      [isFirst, isLost] = [false, false];
      response.setEncoding('utf8');
      for await (const { id, event, data } of eventsOf(response)) {
        if (id) lastId = id;
        onEvent(event, JSON.parse(data));
      }
    } catch (error) {
      // The first time nothing answers, there is nothing to come back to.
      if (isFirst || isRefusal(error)) throw error;
    }
    if (isOnce) return;
    if (!isLost) onLost?.();
    isLost = true;
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
}

/** Whether the host has answered, and said no. @param {any} error */
const isRefusal = (error) =>
  error instanceof UsageError ||
  (error instanceof Failure && !/^(?:E[A-Z]+|ERR_NO_HOST|ERR_STREAM.*)$/.test(error.code));

/**
 * The events of a stream, as their format is defined: fields in lines, an empty line after each.
 *
 * @param {AsyncIterable<string>} chunks
 */
export async function* eventsOf(chunks) {
  let rest = '';
  let [id, event, data] = ['', '', /** @type {string[]} */ ([])];
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [, name = '', value = ''] = /^(\w*):? ?([^]*?)\r?$/.exec(line) ?? [];
      if (name === 'id') id = value;
      else if (name === 'event') event = value;
      else if (name === 'data') data.push(value);
      else if (name === '' && value === '') {
        if (data.length > 0) yield { id, event: event || 'message', data: data.join('\n') };
        [id, event, data] = ['', '', []];
      }
    }
  }
}
