/**
 * The dashboard: a server over TCP for the page's files, and for the operator's API behind the
 * checks that a browser makes necessary.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import { cannotListen, invalidOption } from '../errors.js';
import { listenWhenLeft } from '../leaving.js';
import { createAccess } from './access.js';
import { readFiles, sendFile } from './files.js';
import { readOptions } from './options.js';

/** @typedef {import('node:http').IncomingMessage} Request */
/** @typedef {import('node:http').ServerResponse} Response */
/** @typedef {(request: Request, response: Response, rights: { mayAct: boolean }) => void} Api */
/** @typedef {{ url: string, link: string }} Addresses without and with the token */

/** 256 bits. */
const TOKEN_BYTES = 32;

/** For every answer, the API's included: nothing of it is for another site. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
    "img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

/**
 * @param {import('./options.js').DashboardOptions} options
 * @param {Api} api answers all paths that are not the page's
 * @param {number} [patienceMs] how long the address may be another host's that leaves
 * @returns {{ listening: Promise<Addresses>, close: () => Promise<void> }}
 */
export function createDashboard(options, api, patienceMs = 0) {
  const { port, hostname, token: given, names, tls } = readOptions('dashboard', options);
  const token = given ?? randomBytes(TOKEN_BYTES).toString('base64url');
  const access = createAccess({ token, names, isSecure: tls !== undefined });
  const files = readFiles();
  // A request that comes before them waits; whether they could be read is told by `listening`.
  files.catch(() => {});

  /** @param {Request} request @param {Response} response */
  async function answer(request, response) {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const refusal = access.refusalOf(request);
    if (refusal !== undefined) return refuse(response, refusal);
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://dashboard');
    if (pathname === '/' && searchParams.has('token'))
      return enter(request, response, searchParams);
    const file = (await files).get(pathname === '/favicon.ico' ? '/page/icon.svg' : pathname);
    const mayAct = access.mayAct(request);
    if (file === undefined && pathname !== '/access') return api(request, response, { mayAct });
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return refuse(response, {
        status: 405,
        code: 'METHOD_NOT_ALLOWED',
        message: `${pathname} is read only`,
      });
    }
    if (file !== undefined) return sendFile(request, response, file);
    sendJson(response, 200, { mayAct });
  }

  /**
   * The link that was printed: the token leaves the address, and becomes a cookie.
   * @param {Request} request
   * @param {Response} response
   * @param {URLSearchParams} query
   */
  function enter(request, response, query) {
    const cookie = access.cookieFor(request, query.get('token'));
    if (cookie === undefined) {
      const message =
        'this is not the token of this dashboard, which makes a new one at each start unless one ' +
        'is given: open the link that was printed last, or the page without a token to look only';
      return refuse(response, { status: 403, code: 'WRONG_TOKEN', message });
    }
    response.setHeader('set-cookie', cookie);
    response.setHeader('cache-control', 'no-store');
    response.writeHead(303, { location: '/' }).end();
  }

  const server = tls === undefined ? createServer() : serverWith(tls);
  server.on('request', (request, response) => {
    answer(request, response).catch((error) => {
      // A URL that cannot be parsed, or files that cannot be read.
      if (response.headersSent) response.destroy();
      else refuse(response, { status: 400, code: 'BAD_REQUEST', message: `${error.message}` });
    });
  });

  const listening = open();
  listening.catch(() => {});
  // As the control that it belongs to, it keeps no process alive.
  server.unref();

  /** @returns {Promise<Addresses>} */
  async function open() {
    const place = isIP(hostname) === 6 ? `[${hostname}]` : hostname;
    try {
      await listenWhenLeft(server, { port, host: hostname }, patienceMs);
    } catch (error) {
      const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
      throw cannotListen(`cannot listen on ${place}:${port}: ${message}`, code, 'the dashboard');
    }
    const { port: bound } = /** @type {import('node:net').AddressInfo} */ (server.address());
    const url = `${tls === undefined ? 'http' : 'https'}://${place}:${bound}/`;
    await files;
    return { url, link: `${url}?token=${token}` };
  }

  /** Streams would go on for ever, so connections are ended. @returns {Promise<void>} */
  function close() {
    return new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  return { listening, close };
}

/** @param {{ cert: string, key: string }} tls */
function serverWith(tls) {
  try {
    // Bun's server looks at them only when it listens.
    createSecureContext(tls);
    return createTlsServer(tls);
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    throw invalidOption(`dashboard.tls is no certificate with its key: ${message}`);
  }
}

/** @param {Response} response @param {import('./access.js').Refusal} refusal */
function refuse(response, { status, code, message }) {
  // What is left of a body is not read, so the connection cannot be used again.
  response.setHeader('connection', 'close');
  sendJson(response, status, { error: { code, message } });
}

/** @param {Response} response @param {number} status @param {unknown} value */
function sendJson(response, status, value) {
  response.setHeader('content-type', 'application/json; charset=utf-8');
  response.setHeader('cache-control', 'no-store');
  response.writeHead(status).end(`${JSON.stringify(value)}\n`);
}
