/** `createControl`: the public object of a control. */
import { createServer } from 'node:http';
import { createApi } from './api.js';
import { createBoard } from './board.js';
import { createEvents } from './events.js';
import { createHost } from './host.js';
import { LEAVING_MS } from '../leaving.js';
import { createLogFiles } from './log-files.js';
import { createLogs } from './logs.js';
import { listen } from '../observe/listen.js';
import { readOptions } from './options.js';
import { listenAt, readyDefaultPath, whenLeft } from './socket.js';
import { hasToken, newToken } from './token.js';
import { createView } from './view.js';

/** @typedef {import('../../control.js').Control} Control */
/** @typedef {import('./options.js').Settings} Settings */

/** A client has so long to send its question. */
const REQUEST_MS = 10_000;
const KEPT_ALIVE_MS = 5_000;
/** What is known of the host is known anew after this time. */
const FRESH_MS = 200;
/** Open answers may end for so long at the end of the control. */
const GRACE_MS = 1_000;

/**
 * @param {import('../../control.js').ControlOptions} options
 * @returns {Control}
 */
export function createControl(options) {
  const settings = readOptions(options);
  const { core, runtime, name, optionName } = settings;
  const gateways = settings.gateways.map(knownGateway);
  const events = createEvents();
  const files = filesOf(settings, events);
  const logs = createLogs({ ...settings.logs, files });
  const board = createBoard({ runtime, core, gateways, events, logs, optionName });
  const own = gateways.map(({ gateway }) => gateway);
  const readHost = createHost({ runtime, core, gateways: own, name, optionName });
  /** @type {{ path: string, dashboardUrl?: string }} */
  const place = { path: settings.path ?? '' };
  /** @type {string | undefined} */
  let dashboardUrl;
  const host = forAWhile(() =>
    readHost({
      ...board.totals(),
      addresses: gateways.flatMap(({ addresses }) => addresses),
      logs: logs.state(),
      control: { path: place.path, name },
      dashboard: dashboardUrl === undefined ? null : { url: dashboardUrl },
    }),
  );
  const parts = { runtime, core, gateways: own, board, events, logs, host, optionName };
  const view = createView(parts);
  const api = createApi(view);
  const stopListening = listen(core, {
    onLog: logs.add,
    onTransition(event) {
      board.transition(event);
      // The next host listens at the same places.
      if (event.type === 'detach') void close();
    },
    onFailure: board.failure,
  });

  const token = newToken();
  const server = createServer(
    { requestTimeout: REQUEST_MS, keepAliveTimeout: KEPT_ALIVE_MS },
    (request, response) => {
      const mayAct = hasToken(request.headers, token);
      api(request, response, { mayAct, mayLook: mayAct });
    },
  );
  /** What is to be closed, the last first. @type {(() => Promise<void>)[]} */
  const opened = [];

  async function open() {
    // What has outlived an earlier host is shown from the first look on.
    await core.recovered;
    place.path ||= await readyDefaultPath();
    const { takeOver = false } = core.settings.survive ?? {};
    if (takeOver) await whenLeft(place.path, LEAVING_MS);
    opened.push(await listenAt(server, place.path, token), () => closeServer(server));
    server.unref();
    if (settings.dashboard !== undefined) {
      const patienceMs = takeOver ? LEAVING_MS : 0;
      const dashboard = await openDashboard(settings.dashboard, api, patienceMs);
      opened.push(() => dashboard.close());
      const { url, link } = await dashboard.listening;
      dashboardUrl = url;
      place.dashboardUrl = link;
    }
    return { ...place };
  }

  /** @type {Promise<void> | undefined} */
  let closing;
  const close = () => (closing ??= end());

  async function end() {
    // What is being opened is closed, too.
    await listening.catch(() => {});
    for (const endStream of view.streams) endStream();
    for (const closeOne of opened.reverse()) await closeOne();
    board.stop();
    stopListening();
    await files?.flush();
    core.controls.delete(close);
    if (core.drainHost === view.drain) core.drainHost = undefined;
  }

  core.controls.add(close);
  core.drainHost = view.drain;
  const listening = open();
  listening.catch(() => close());

  const control = { listening, drained: view.drained, close };
  if (Symbol.asyncDispose) {
    Object.defineProperty(control, Symbol.asyncDispose, { value: close, enumerable: false });
  }
  return /** @type {Control} */ (control);
}

/**
 * A function whose value is made anew only after a while: many clients may ask for it.
 * @template T
 * @param {() => T} make
 * @returns {() => T}
 */
function forAWhile(make) {
  /** @type {{ value: T, at: number } | undefined} */
  let last;
  return () => {
    if (last === undefined || performance.now() - last.at > FRESH_MS) {
      last = { value: make(), at: performance.now() };
    }
    return last.value;
  };
}

/** @param {Settings['gateways'][number]} given */
function knownGateway({ gateway, seam }) {
  /** @type {import('./traffic.js').Known & { gateway: typeof gateway, addresses: string[] }} */
  const known = { seam, gateway, addresses: [] };
  gateway.listening.then(
    (addresses) => {
      known.addresses = addresses.map(({ url }) => url);
      const place = known.addresses.find((url) => url.startsWith('http'));
      if (place !== undefined) known.place = new URL(place);
      // From the first call on the gateway counts how soon answers begin.
      seam.statsOfAll();
    },
    // Its own caller is told.
    () => {},
  );
  return known;
}

/** @param {Settings} settings @param {import('./events.js').Events} events */
function filesOf({ logs: { directory, maxBytes } }, events) {
  if (directory === undefined) return undefined;
  return createLogFiles({ directory, maxBytes }, (problem) => {
    if (problem === null) events.add('host', null, 'lines are written to files again');
    else events.add('host', null, problem.text, { code: problem.code });
  });
}

/**
 * The dashboard is loaded when it is asked for.
 * @param {any} options checked there
 * @param {ReturnType<typeof createApi>} api
 * @param {number} patienceMs how long its address may be another host's that leaves
 */
async function openDashboard(options, api, patienceMs) {
  const { createDashboard } = await import('#dashboard');
  return createDashboard(options, api, patienceMs);
}

/** @param {import('node:http').Server} server @returns {Promise<void>} */
function closeServer(server) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS);
    timer.unref?.();
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
