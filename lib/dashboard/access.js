/**
 * Who may do what. Anybody who reaches the dashboard may look; to act takes the token. A page of
 * another site that the operator's browser has open may neither: Host keeps out names that were
 * led to this address, Origin keeps out the other site's own requests. An address in Host cannot be
 * led elsewhere, and may be one that only the browser knows, as that of a container's machine.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';

/** @typedef {import('node:http').IncomingMessage} Request */
/** @typedef {{ status: number, code: string, message: string }} Refusal */

/** Cookies are sent to all ports of a host, so the name tells dashboards apart by theirs. */
const COOKIE = 'absolute-runtime';

/**
 * @param {object} settings
 * @param {string} settings.token
 * @param {string[]} settings.names by which it is reached besides its addresses
 * @param {boolean} settings.isSecure whether it speaks TLS
 */
export function createAccess({ token, names, isSecure }) {
  const digest = digestOf(token);
  const known = new Set(['localhost', ...names]);

  /** In constant time: of digests, which are of one length. @param {string | undefined} given */
  const isToken = (given) => given !== undefined && timingSafeEqual(digestOf(given), digest);

  /** @param {Request} request */
  const cookieName = (request) => `${COOKIE}-${request.socket.localPort}`;

  /** @param {Request} request @returns {boolean} whether it brings the token */
  function mayAct(request) {
    const bearer = /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    return isToken(bearer) || isToken(cookieOf(request, cookieName(request)));
  }

  /** @param {Request} request */
  function isKnownHost(request) {
    const name = nameIn(request.headers.host ?? '');
    return known.has(name) || isIP(name) !== 0;
  }

  /**
   * Why a request is refused before anything is looked at; undefined if it is not.
   * @param {Request} request
   * @returns {Refusal | undefined}
   */
  function refusalOf(request) {
    if (!isKnownHost(request)) {
      return {
        status: 403,
        code: 'FORBIDDEN_HOST',
        message:
          'this dashboard answers to addresses and to localhost; give it other names in the ' +
          'option names',
      };
    }
    if (request.method !== 'POST') return undefined;
    if (!isOwnOrigin(request)) {
      return {
        status: 403,
        code: 'FORBIDDEN_ORIGIN',
        message: 'actions are taken from the dashboard itself, and not from a page of another site',
      };
    }
    if (!isJsonOrEmpty(request)) {
      return {
        status: 415,
        code: 'UNSUPPORTED_BODY',
        message: 'a body must be JSON, with Content-Type: application/json',
      };
    }
    if (!mayAct(request)) {
      return {
        status: 403,
        code: 'READ_ONLY',
        message:
          'to act takes the token: open the link that was printed when the dashboard started, or ' +
          'send it as Authorization: Bearer',
      };
    }
    return undefined;
  }

  /**
   * The cookie that the link with the token sets; undefined for a wrong one.
   * @param {Request} request
   * @param {string | null} given
   */
  function cookieFor(request, given) {
    if (given === null || !isToken(given)) return undefined;
    const secure = isSecure ? '; Secure' : '';
    return `${cookieName(request)}=${token}; HttpOnly; SameSite=Strict; Path=/${secure}`;
  }

  return { mayAct, refusalOf, cookieFor };
}

/** @param {string} text */
const digestOf = (text) => createHash('sha256').update(text).digest();

/** The name or address in a Host, without its port. @param {string} host */
function nameIn(host) {
  const [, address, name = ''] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(host) ?? [];
  return (address ?? name).toLowerCase();
}

/** @param {Request} request @param {string} name */
function cookieOf(request, name) {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [its, value] = pair.trim().split('=', 2);
    if (its === name) return value;
  }
  return undefined;
}

/**
 * Browsers send an Origin with every POST; programs need not. The scheme is not compared: before
 * this server there may be a proxy that speaks TLS.
 * @param {Request} request
 */
function isOwnOrigin(request) {
  const { origin, host } = request.headers;
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false;
  return origin === undefined || origin.replace(/^https?:\/\//, '') === host;
}

/** @param {Request} request */
function isJsonOrEmpty(request) {
  const { headers } = request;
  const isEmpty = headers['transfer-encoding'] === undefined && !Number(headers['content-length']);
  return isEmpty || /^application\/json\s*(?:;|$)/i.test(headers['content-type'] ?? '');
}
