/** The API over HTTP: which address gives what. `docs/control.md` describes it. */
import { followEvents, followHost, followLines, followTenant, followTenants } from './follow.js';
import { countOf, keysOf, lastEventOf, linesOf, onlyWith, sinceOf, targetOf } from './query.js';
import { Refusal, refusalOf } from './refusal.js';
import { STATES } from './states.js';
import { EVENT_STREAM, openStream } from './stream.js';
import { ACTIONS } from './view.js';

/** @typedef {import('node:http').IncomingMessage} Request */
/** @typedef {import('node:http').ServerResponse} Response */
/** @typedef {import('./view.js').View} View */
/** @typedef {import('./stream.js').Stream} Stream */
/**
 * What an address gives: an answer, or what a client that stays is sent.
 * @typedef {object} Resource
 * @property {() => unknown | Promise<unknown>} get
 * @property {(stream: Stream) => (() => void) | Promise<() => void>} [follow] returns what ends it
 */

/**
 * Clients that stay, at most: of those that may act, and of those that may only look, who are not to
 * keep the others out.
 */
const MOST_STREAMS = 100;
const MOST_AFTER = 10_000;

/**
 * @param {View} view
 * @returns {(request: Request, response: Response, who: Who) => void}
 */
export function createApi(view) {
  const { streams } = view;
  const following = { actors: 0, lookers: 0 };

  /** @param {Request} request @param {Response} response @param {Who} who */
  async function answer(request, response, { mayAct, mayLook = true }) {
    // What a client sends beside its question is not read.
    request.resume();
    if (!mayLook) throw unauthorized();
    const { segments, query } = targetOf(request.url ?? '/');
    const action = actionAt(segments);
    const { method = '' } = request;
    if (action !== undefined) {
      allow(method, ['POST']);
      onlyWith(query, []);
      if (!mayAct) throw new Refusal(403, 'FORBIDDEN', 'actions need the token');
      const { status, body } = await act(view, action);
      return send(response, status, await body);
    }
    const resource = await resourceAt(view, segments, query, request);
    allow(method, ['GET', 'HEAD']);
    const isStream = String(request.headers.accept ?? '').includes(EVENT_STREAM);
    if (!isStream || method === 'HEAD' || resource.follow === undefined)
      return send(response, 200, await resource.get(), method === 'HEAD');
    const kind = mayAct ? 'actors' : 'lookers';
    if (following[kind] >= MOST_STREAMS) {
      throw new Refusal(503, 'TOO_MANY_STREAMS', `${MOST_STREAMS} clients follow already`);
    }
    const stream = openStream(response);
    const end = () => void response.end();
    streams.add(end);
    following[kind] += 1;
    stream.onEnd(() => {
      streams.delete(end);
      following[kind] -= 1;
    });
    stream.onEnd(await resource.follow(stream));
  }

  return (request, response, who) => {
    answer(request, response, who).catch((error) => refuse(response, error));
  };
}

const unauthorized = () =>
  new Refusal(
    401,
    'UNAUTHORIZED',
    'the token is missing or wrong: send the line of the file <socket>.token as a header field',
    { headers: { 'www-authenticate': 'Bearer' } },
  );

/** Who asks. `mayLook` is true unless said otherwise. @typedef {{ mayAct: boolean, mayLook?: boolean }} Who */
/** @typedef {{ key: string, action: (typeof ACTIONS)[number] } | { host: string } | 'drain'} AskedAction */

/** @param {readonly string[]} segments @returns {AskedAction | undefined} */
function actionAt([first, key = '', last, ...more]) {
  if (first === 'drain' && key === '' && last === undefined) return 'drain';
  if (first === 'fleet' && key === 'hosts' && last !== undefined && more.join() === 'drain') {
    return { host: last };
  }
  const action = ACTIONS.find((name) => name === last);
  return first === 'tenants' && action !== undefined && more.length === 0
    ? { key, action }
    : undefined;
}

/** @param {View} view @param {AskedAction} asked */
async function act(view, asked) {
  if (asked === 'drain') {
    view.drain();
    return { status: 202, body: view.host() };
  }
  if ('host' in asked) return { status: 202, body: view.fleet.drainHost(asked.host) };
  const { key, action } = asked;
  return { status: 200, body: view.act(key, action) };
}

/**
 * @param {View} view
 * @param {string[]} segments
 * @param {URLSearchParams} query
 * @param {Request} request
 * @returns {Promise<Resource>}
 */
async function resourceAt(view, segments, query, { headers }) {
  const [first, key, last, ...more] = segments;
  const { board } = view;
  if (more.length === 0 && last === undefined && key === undefined) {
    switch (first) {
      case 'host':
        onlyWith(query, []);
        return { get: view.host, follow: (stream) => followHost(view, stream) };
      case 'fleet':
        onlyWith(query, []);
        return { get: view.fleet.hosts };
      case 'tenants':
        return tenants(query);
      case 'events':
        return eventsOf(view, keysOf(query), query, headers);
      case 'logs':
        return logsOf(view, keysOf(query), query, ['key'], headers);
    }
  }
  if (first === 'fleet' && key === 'tenants' && last === undefined) {
    onlyWith(query, ['key']);
    return { get: () => view.fleet.tenants(keysOf(query)) };
  }
  if (first === 'tenants' && key !== undefined && more.length === 0) {
    if (last === undefined) {
      onlyWith(query, []);
      await view.requireTenant(key);
      return {
        get: () => view.detail(key),
        follow: (stream) => followTenant(view, stream, key),
      };
    }
    if (last === 'logs') {
      await view.requireTenant(key);
      return logsOf(view, [key], query, [], headers);
    }
  }
  throw new Refusal(
    404,
    'NOT_FOUND',
    'there is nothing at this address: there are /host, /fleet, /fleet/tenants, /tenants, /tenants/<key>, /tenants/<key>/logs, /logs, /events',
  );

  /** @param {URLSearchParams} asked @returns {Promise<Resource>} */
  async function tenants(asked) {
    onlyWith(asked, ['state']);
    const state = asked.get('state');
    if (state !== null && !STATES.includes(state)) {
      throw new Refusal(
        400,
        'BAD_QUERY',
        `state must be one of ${STATES.join(', ')}, got ${state.slice(0, 80)}`,
      );
    }
    await board.fresh();
    const fits = (/** @type {{ state: string }} */ tenant) =>
      state === null || tenant.state === state;
    return {
      get: () => ({ at: Date.now(), tenants: board.tenants().filter(fits) }),
      follow(stream) {
        const ends = [followTenants(view, stream, fits), followHost(view, stream)];
        return () => ends.forEach((end) => end());
      },
    };
  }
}

/**
 * @param {View} view
 * @param {string[]} keys
 * @param {URLSearchParams} query
 * @param {import('node:http').IncomingHttpHeaders} headers
 * @returns {Resource}
 */
function eventsOf(view, keys, query, headers) {
  onlyWith(query, ['n', 'since', 'key']);
  const after = lastEventOf(headers);
  const asked = { keys, n: countOf(query), since: sinceOf(query, Date.now()), after };
  return {
    get: () => ({ events: view.events.find(asked) }),
    follow: (stream) => followEvents(view, stream, asked),
  };
}

/**
 * @param {View} view
 * @param {string[]} keys
 * @param {URLSearchParams} query
 * @param {string[]} more names of parameters
 * @param {import('node:http').IncomingHttpHeaders} headers
 * @returns {Resource}
 */
function logsOf({ logs, ...view }, keys, query, more, headers) {
  onlyWith(query, ['n', 'since', 'grep', 'stream', ...more]);
  const asked = linesOf(keys, query, Date.now());
  return {
    get: () => logs.find(asked),
    async follow(stream) {
      const seen = lastEventOf(headers);
      const from = logs.seq;
      const goesOn = seen !== undefined && seen <= from;
      const all = { ...asked, n: MOST_AFTER };
      const first = goesOn ? logs.after({ ...all, after: seen }) : (await logs.find(asked)).lines;
      // Files may have been read meanwhile.
      const since = goesOn ? [] : logs.after({ ...all, since: undefined, after: from });
      return followLines({ logs, ...view }, stream, asked, [...first, ...since]);
    },
  };
}

/** @param {string} method @param {string[]} allowed */
function allow(method, allowed) {
  if (allowed.includes(method)) return;
  const allow = allowed.join(', ');
  throw new Refusal(405, 'METHOD_NOT_ALLOWED', `this address takes ${allow}`, {
    headers: { allow },
  });
}

/**
 * @param {Response} response
 * @param {number} status
 * @param {unknown} value
 * @param {boolean} [isHead]
 * @param {Record<string, string>} [headers]
 */
function send(response, status, value, isHead = false, headers = {}) {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(isHead ? undefined : body);
}

/** @param {Response} response @param {unknown} thrown */
function refuse(response, thrown) {
  // In the middle of a stream there is no other way to say it.
  if (response.headersSent) return void response.destroy();
  const { status, code, message, key, headers } = refusalOf(thrown);
  const error = key === undefined ? { code, message } : { code, message, key };
  send(response, status, { error }, false, headers);
}
