/** `createGateway`: the public object of a gateway. */
import { fieldsOf } from '../checks.js';
import { cannotListen, invalidOption } from '../errors.js';
import { createAccess } from './access.js';
import { certificatesAt } from './certificates.js';
import { LONGEST_MS, milliseconds, readOptions } from './options.js';
import { createQuestions } from './questions.js';
import { createSpans } from './spans.js';

/** @typedef {import('../../gateway.js').Gateway} Gateway */

/** How long open requests may go on after `close`, unless it says otherwise. */
const GRACE_MS = 10_000;

/**
 * @param {import('../../gateway.js').GatewayOptions} options
 * @returns {Gateway}
 */
export function createGateway(options) {
  const settings = readOptions(options);
  const { core } = settings;
  const started = withResolvers();
  const closed = withResolvers();
  /** @type {any} */
  const native = core.native.openGateway(settings.native, noticed);
  if (typeof native === 'string') throw invalidOption(`tls: ${native}`);
  const questions = createQuestions(settings, native);
  const access = settings.onAccess && createAccess(settings.onAccess, () => native.takeAccess());
  const { tracerProvider } = core.settings;
  const spans =
    tracerProvider &&
    createSpans(tracerProvider, (ticket, text) => native.answerWoken(ticket, text));
  // It keeps the event loop alive until the gateway is closed, and never fires.
  const keepAlive = setInterval(() => {}, LONGEST_MS);

  /** What Rust tells and asks. @param {any} notice */
  function noticed(notice) {
    switch (notice.kind) {
      case 'started':
        return started.resolve(notice.addresses);
      case 'notStarted':
        ended();
        return whenRecovered(() => started.reject(cannotListen(notice.problem, notice.code)));
      case 'closed':
        return void (access === undefined ? ended() : access.flush().then(ended));
      case 'access':
        return access?.rung();
      case 'woken':
        return spans?.woken(notice);
      case 'wokenOver':
        return spans?.wokenOver(notice);
      case 'ask':
        return questions.ask(notice);
      case 'page':
        return questions.page(notice);
      case 'certificate':
        return questions.certificate(notice);
    }
  }

  /**
   * Without what has outlived an earlier host there is nothing to serve, and why is told in place
   * of what follows from it.
   * @param {() => void} otherwise
   */
  function whenRecovered(otherwise) {
    if (core.recovered === undefined) return otherwise();
    core.recovered.then(otherwise, started.reject);
  }

  /** No connection is left, and nothing of it will be told any more. */
  function ended() {
    spans?.close();
    clearInterval(keepAlive);
    core.gateways.delete(close);
    tellDrainMs();
    closed.resolve();
  }

  /** The longest time of the runtime's gateways counts; without one tenants are asked at once. */
  function tellDrainMs() {
    native.setDrainMs(Math.max(0, ...core.gateways.values()));
  }

  let isClosing = false;

  /** @param {{ graceMs?: number }} [how] @returns {Promise<void>} */
  async function close(how) {
    const graceMs = graceOf(how);
    if (!isClosing) {
      isClosing = true;
      native.close(graceMs);
    }
    return closed.promise;
  }

  /** @param {import('../../gateway.js').GatewayCertificates} given */
  function setCertificates(given) {
    if (settings.certificate !== undefined) {
      throw invalidOption(
        'setCertificates replaces the certificates of the option tls, and here that is a function, ' +
          'which is asked in each handshake: let it return the new ones',
      );
    }
    if (settings.native.certificates === undefined) {
      throw invalidOption(
        'setCertificates replaces those of the option tls, and this gateway has none: give it some ' +
          'when it is created',
      );
    }
    const problem = native.setCertificates(certificatesAt('certificates', given));
    if (problem) throw invalidOption(`certificates: ${problem}`);
  }

  core.gateways.set(close, settings.drainMs);
  tellDrainMs();
  // For starts that requests lead to: what only JavaScript knows of the host is handed down.
  core.handDown?.();
  core.wake();

  const gateway = {
    listening: started.promise,
    stats: () => ({
      ...native.stats(),
      byKey: (/** @type {string} */ key) => keyStats(native.statsOf(`${key}`)),
    }),
    setCertificates,
    close,
  };
  // For controls: see `control/traffic.js`.
  Object.defineProperty(gateway.stats, Symbol.for('@absolutejs/runtime.gateway'), {
    value: {
      core,
      route: settings.native.route,
      statsOfAll: () => native.statsOfAll(),
      statsOf: (/** @type {string} */ key) => native.statsOf(key),
    },
  });
  if (Symbol.asyncDispose) {
    Object.defineProperty(gateway, Symbol.asyncDispose, {
      value: () => close(),
      enumerable: false,
    });
  }
  return /** @type {Gateway} */ (gateway);
}

/** Programs that list the fields of a key's figures see those that they know. @param {any} stats */
function keyStats({ answerHistogram, refused, ...stats }) {
  return Object.defineProperties(stats, {
    answerHistogram: { value: answerHistogram },
    refused: { value: refused },
  });
}

/** @param {{ graceMs?: number } | undefined} how */
function graceOf(how) {
  if (typeof how !== 'object' || how === null) return GRACE_MS;
  return milliseconds('graceMs', fieldsOf('', how, ['graceMs']).graceMs, GRACE_MS, 0);
}

/** `Promise.withResolvers`, which Node 20 does not have. */
function withResolvers() {
  /** @type {(value?: any) => void} */
  let resolve = () => {};
  /** @type {(error: unknown) => void} */
  let reject = () => {};
  const promise = new Promise((fulfil, refuse) => ([resolve, reject] = [fulfil, refuse]));
  return { promise, resolve, reject };
}
