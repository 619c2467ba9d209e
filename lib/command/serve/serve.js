/** `serve`: a whole host for a directory of tenants, until it is told to end. */
import { closeSync, openSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { tokenFileOf } from '../../control/token.js';
import { EXIT_DONE, EXIT_INTERRUPTED } from '../mistakes.js';
import { readSettings } from '../settings.js';
import { exit } from '../terminal.js';
import { asJson, harmless } from '../text.js';
import { several, timeInWords } from '../words.js';
import { Replacements } from '../../control/replacements.js';
import { incident, summaryOf, tell } from './banner.js';
import { startHost } from './host.js';
import { apply } from './reload.js';
import { inheritedSockets, reloading, serviceManager, unitInTheWay } from './service.js';
import { watchStarter } from './starter.js';
import { warmTenants } from './tenants.js';
import { watchHost } from './watch.js';

/** SIGINTs that come sooner after the first are the same ^C; people take longer for the next. */
const SAME_INTERRUPT_MS = 300;

/** @typedef {import('../settings.js').Settings} Settings */

/** @type {import('../commands.js').Run} */
export async function run({ words, options: flags }, io) {
  const sources = { flags, directory: words[0], env: { ...io.env }, cwd: io.cwd };
  let settings = await readSettings(sources);
  if (settings.values['log-dir'] !== undefined) {
    await (await import('./log-directory.js')).readyLogDirectory(settings);
  }
  io.becomeHost();
  const manager = serviceManager(io.env, io.complain);
  // The first tenant with limits moves this process out of the group that is looked at.
  const unit = isBoundAndLasting(settings) ? unitInTheWay(io.env) : undefined;
  // Another host may take over before there is all of this one.
  let isLeft = false;
  let leaves = () => void (isLeft = true);
  const journal = (/** @type {string} */ text) => io.complain(`${timeInWords(Date.now())} ${text}`);
  /** @type {import('./host.js').Host['runtime'] | undefined} */
  let runtime;
  const statusOf = (/** @type {string} */ key) => runtime?.inspect(key) ?? null;
  const replacements = new Replacements(statusOf);
  const host = await startHost(() => settings, {
    sockets: inheritedSockets(io.env, io.complain),
    onTransition: (event) => {
      // Of a replacement that fails `watchHost` tells.
      const text = replacements.take(event) ? undefined : incident(event, statusOf);
      if (text !== undefined) journal(text);
      if (event.type === 'detach') leaves();
    },
  });
  ({ runtime } = host);
  const { ended, end, leave } = endOnSignals(host, settings.values.survive !== null, manager, io);
  watchStarter(io.env, (starter) => void end(`${harmless(starter)} has gone`));
  // Right in the event, after which the time of what is open begins.
  leaves = () => void leave('Left to the next host');
  if (isLeft) leaves();
  process.on('SIGHUP', async () => {
    // A shell passes on the SIGHUP that the kernel has sent already.
    if (hasLostItsTerminal(io)) return end('SIGHUP');
    await manager.tell(reloading());
    try {
      settings = apply(settings, await readSettings(sources), host, io.complain);
    } catch (error) {
      const lines = /** @type {Error} */ (error).message.split('\n').map(harmless);
      io.complain(`SIGHUP: nothing is changed: ${lines.join('\n  ')}`);
    }
    await manager.tell('READY=1');
    await warmTenants(host.runtime, settings, io.complain).catch(() => {});
  });
  await announce(settings, host, { unit, wantsJson: flags.json === true }, io);
  watchHost(host.listening.path, io.env, journal);
  await manager.tell('READY=1');
  await warmTenants(host.runtime, settings, io.complain);
  const exitCode = await ended;
  // Node aborts with a core dump when it cannot set its terminal back.
  if (hasLostItsTerminal(io)) process.kill(process.pid, 'SIGKILL');
  // Whatever still holds the process, such as a follower of the page, is not waited for.
  exit(exitCode);
}

/**
 * @param {Settings} settings
 * @param {import('./host.js').Host} host
 * @param {{ unit: string | undefined, wantsJson: boolean }} more
 * @param {import('../terminal.js').Io} io
 */
async function announce(settings, host, { unit, wantsJson }, io) {
  // Only now, as the gateway already serves.
  const { clientOf } = await import('../client.js');
  const client = clientOf({ control: host.listening.path }, io.env);
  const summary = summaryOf(settings, host, await client.get('/host').catch(() => undefined));
  if (wantsJson) io.print(asJson(summary));
  else tell(summary, settings, unit, io);
}

/** Whether tenants outlive this host, and have limits. @param {Settings} settings */
const isBoundAndLasting = ({ values: { survive, memory, cpus, processes } }) =>
  survive !== null && [memory, cpus, processes].some((limit) => limit !== null);

/**
 * `ended` resolves to the exit code once the host has ended: by a signal, by `drain`, or when it
 * has left its tenants. A second signal ends it at once. Tenants do not outlive it but with
 * `--survive`, where those that are not being stopped yet wait for the next host.
 *
 * @param {import('./host.js').Host} host
 * @param {boolean} survives whether its tenants may outlive it
 * @param {{ tell: (state: string) => Promise<void> }} manager
 * @param {import('../terminal.js').Io} io
 * @returns {{ ended: Promise<number>, end: (why: string, exitCode?: number) => Promise<void>,
 *   leave: (why: string) => Promise<void> }}
 */
function endOnSignals(host, survives, manager, io) {
  let isEnding = false;
  let isLeaving = false;
  let endingSince = NaN;
  /** @type {(exitCode: number) => void} */
  let resolve = () => {};
  /** @type {(error: unknown) => void} */
  let reject = () => {};
  /** @type {Promise<number>} */
  const ended = new Promise((...settle) => ([resolve, reject] = settle));
  const ends = (/** @type {number} */ brokenOff, exitCode = EXIT_DONE) => {
    const were = brokenOff === 1 ? 'was' : 'were';
    if (brokenOff > 0) io.complain(`${several(brokenOff, 'open request')} ${were} broken off.`);
    resolve(exitCode);
  };
  const end = async (/** @type {string} */ why, exitCode = EXIT_DONE) => {
    if (isEnding) return;
    isEnding = true;
    endingSince = performance.now();
    const open = host.gateway.stats().inFlight;
    const waits = open > 0 ? `, ${several(open, 'open request')} may end first` : '';
    io.complain(`${why}: ends in order${waits}; once more ends it at once.`);
    host.close().then((closed) => ends(closed.brokenOff, exitCode), reject);
    await manager.tell('STOPPING=1');
  };
  /** Leaves the tenants to the next host; what is open may end first. */
  const leave = async (/** @type {string} */ why) => {
    if (isEnding) return;
    isEnding = true;
    isLeaving = true;
    const open = host.gateway.stats().inFlight;
    const waits = open > 0 ? `; ${several(open, 'open request')} may end first` : '';
    io.complain(`${why}: its tenants run on${waits}.`);
    // At once: what is open has its time from now on.
    host.leave().then((left) => ends(left.brokenOff), reject);
    await manager.tell('STOPPING=1');
  };
  if (survives) process.on('SIGUSR2', () => void leave('SIGUSR2'));
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGINT'])) {
    process.on(signal, () => {
      // npx gets the terminal's ^C as well, and passes it on.
      if (signal === 'SIGINT' && performance.now() - endingSince < SAME_INTERRUPT_MS) return;
      if (isEnding) {
        io.complain(`${signal}: ended at once.`);
        // The control cannot do it any more. The next host's may be there already.
        const { path } = host.listening;
        const files = isLeaving ? [] : [path, tokenFileOf(path)];
        for (const file of files) rmSync(file, { force: true });
        exit(128 + constants.signals[signal]);
      }
      void end(signal, signal === 'SIGINT' ? EXIT_INTERRUPTED : EXIT_DONE);
    });
  }
  host.control.drained.then(async (drained) => {
    if (isEnding) return;
    isEnding = true;
    await manager.tell('STOPPING=1');
    io.complain('Drained, as absolutejs-runtime drain asked.');
    await host.close();
    ends(drained.brokenOff);
  }, reject);
  return { ended, end, leave };
}

/**
 * Whether this SIGHUP is that of a terminal that was closed: then there is nobody to read for.
 *
 * @param {import('../terminal.js').Io} io
 */
function hasLostItsTerminal({ isTerminal, stdin }) {
  if (!isTerminal && stdin.isTTY !== true) return false;
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return false;
  } catch {
    return true;
  }
}
