// What the host of the soak of a day's traffic has told of each process, and whether that can be.
import { until, within } from '../../__test__/support/processes/until.ts';
import { AWAKE, kindOf } from './apps.mjs';

/** From an end that was noticed to its being told. */
const PATIENCE_MS = 5_000;

/**
 * @typedef {object} Known a process
 * @property {number} port
 * @property {boolean} isAsleep
 * @property {Promise<void>} ended
 * @property {() => void} end
 */

export class Model {
  /** By key and pid. @type {Map<string, Known>} */
  #known = new Map();
  /** The pids of those that live. @type {Set<number>} */
  living = new Set();
  /** How long those that were woken took. @type {number[]} */
  wakeMs = [];
  /** @type {Record<string, number>} */
  figures = { ready: 0, sleep: 0, wake: 0, 'idle-kill': 0, 'lru-evict': 0, exit: 0 };
  /** Visitors have left, and with them what kept apps awake. */
  isEvening = false;
  #violation;

  /** @param {(text: string) => void} violation */
  constructor(violation) {
    this.#violation = violation;
  }

  /** @param {any} event of `onTransition` */
  take(event) {
    const { type, key, pid } = event;
    if (type in this.figures) this.figures[type] = (this.figures[type] ?? 0) + 1;
    if (type === 'ready') return this.#begin(key, pid, event.port);
    const known = this.of(key, pid);
    if (known === undefined) return;
    if (type === 'sleep') {
      if (AWAKE.includes(kindOf(key)) && !this.isEvening)
        this.#violation(`${key} ${pid} has fallen asleep`);
      known.isAsleep = true;
    } else if (type === 'wake') {
      if (!known.isAsleep) this.#violation(`${key} ${pid} has woken and did not sleep`);
      known.isAsleep = false;
      this.wakeMs.push(event.durationMs);
    } else if (type === 'exit') {
      // Nothing but the runtime ends any of them.
      if (event.reason === 'crashed' || event.reason === 'exited-clean')
        this.#violation(`${key} ${pid} has ended by itself: ${JSON.stringify(event)}`);
      this.living.delete(pid);
      known.end();
    }
  }

  /** @param {string} key @param {number} pid @param {number} port */
  #begin(key, pid, port) {
    let end = () => {};
    const ended = new Promise((/** @type {(value: void) => void} */ resolve) => (end = resolve));
    this.#known.set(`${key} ${pid}`, { port, isAsleep: false, ended, end });
    this.living.add(pid);
  }

  /** @param {string} key @param {number} pid */
  of(key, pid) {
    return this.#known.get(`${key} ${pid}`);
  }

  /** A process that answers is told to be ready, if it was not before. @param {string} key @param {number} pid */
  async told(key, pid) {
    return until(`${key} ${pid} is told to be ready`, () => this.of(key, pid));
  }

  /** Its end was told, or is before long: that is on its way. @param {string} key @param {number} pid */
  async isOver(key, pid) {
    const known = await this.told(key, pid);
    return within('its end', known.ended, PATIENCE_MS).then(
      () => true,
      () => false,
    );
  }
}
