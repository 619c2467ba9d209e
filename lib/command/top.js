/** `top`: the tenants as they change, over the whole terminal. */
import { clientOf } from './client.js';
import { hostTrouble } from './host.js';
import { EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED } from './mistakes.js';
import { STATES } from '../control/states.js';
import { SORTS } from './options.js';
import * as ps from './ps.js';
import { takeScreen } from './screen.js';
import { COLUMNS, sorted } from './tenants.js';
import { table } from './table.js';
import { BOLD, DIM, RED } from './terminal.js';
import { clip, harmless } from './text.js';
import { bytesInWords, durationInWords, rateInWords, several, timeInWords } from './words.js';

const ALARM = '97;41';
const REDRAW_MS = 1_000;
/** The lines around the tenants: two of the host, one of the filter, titles, and one of keys. */
const FRAME_LINES = 5;
const HELP = 'q quit   s sort   f state   / search   arrows scroll';
/** @type {Record<string, string>} */
const SORT_KEYS = { p: 'problems', r: 'requests', c: 'cpu', m: 'memory', k: 'key' };

/** What is shown, and how. */
class View {
  /** @type {Map<string, any>} */
  tenants = new Map();
  /** @type {any} */
  host = null;
  /** When the host was lost; null while it answers. @type {number | null} */
  lostAt = null;
  search = '';
  isSearching = false;
  offset = 0;
  page = 1;

  /** @param {readonly string[]} keys @param {string} sort @param {string | undefined} state */
  constructor(keys, sort, state) {
    this.keys = keys;
    this.sort = sort;
    this.state = state;
  }

  /** @param {string} event @param {any} data */
  take(event, data) {
    if (event === 'host') this.host = data;
    if (event === 'tenants') this.tenants.clear();
    if (event !== 'tenants' && event !== 'changed') return;
    for (const tenant of data.tenants) this.tenants.set(tenant.key, tenant);
    for (const key of data.gone ?? []) this.tenants.delete(key);
  }

  /** @param {string} key @returns {boolean} whether it is one of ours */
  press(key) {
    if (this.isSearching) return this.#type(key);
    if (key === 's') this.sort = SORTS[(SORTS.indexOf(this.sort) + 1) % SORTS.length] ?? this.sort;
    else if (Object.hasOwn(SORT_KEYS, key)) this.sort = SORT_KEYS[key] ?? this.sort;
    else if (key === 'f') this.state = [...STATES, undefined][this.#nextState()];
    else if (key === '/') this.isSearching = true;
    else if (key === 'escape') [this.search, this.state] = ['', undefined];
    else if (key === 'up') this.offset -= 1;
    else if (key === 'down') this.offset += 1;
    else if (key === 'page-up') this.offset -= this.page;
    else if (key === 'page-down' || key === ' ') this.offset += this.page;
    else if (key === 'home') this.offset = 0;
    else if (key === 'end') this.offset = Infinity;
    else return false;
    return true;
  }

  #nextState() {
    return this.state === undefined ? 0 : STATES.indexOf(this.state) + 1;
  }

  /** @param {string} key */
  #type(key) {
    if (key === 'enter') this.isSearching = false;
    else if (key === 'escape') [this.search, this.isSearching] = ['', false];
    else if (key === 'backspace') this.search = this.search.slice(0, -1);
    else if (!/\p{Cc}/u.test(key) && [...key].length === 1) this.search += key;
    else return false;
    return true;
  }

  /** @returns {any[]} */
  rows() {
    const wanted = [...this.tenants.values()]
      .filter(({ key }) => this.keys.length === 0 || this.keys.includes(key))
      .filter(({ state }) => this.state === undefined || state === this.state)
      .filter(({ key }) => key.toLowerCase().includes(this.search.toLowerCase()));
    return sorted(wanted, this.sort);
  }

  /**
   * @param {import('./terminal.js').Io} io
   * @param {number} height
   * @returns {string[]}
   */
  lines(io, height) {
    const room = io.columns();
    const isOld = this.lostAt !== null;
    // What is old is not coloured: nothing of it may look as if it were well.
    const paint = isOld ? (/** @type {any} */ _, /** @type {string} */ text) => text : io.paint;
    const rows = this.rows();
    this.page = Math.max(1, height - FRAME_LINES);
    this.offset = Math.max(0, Math.min(this.offset, rows.length - this.page));
    const shown = rows
      .slice(this.offset, this.offset + this.page)
      .map((tenant) => aged(tenant, this.lostAt ?? Date.now()));
    const tenants = table(shown, COLUMNS, room, paint);
    const old = (/** @type {string} */ line) => (isOld ? io.paint(DIM, line) : line);
    const below = rows.length - this.offset - shown.length;
    const help = below > 0 ? `${HELP}   (${below} more below)` : HELP;
    const lines = [
      this.#heading(io, room),
      old(clip(totals(this.host, [...this.tenants.values()]), room)),
      this.#filter(io, room),
      ...tenants.map(old),
    ];
    while (lines.length < height - 1) lines.push('');
    return [...lines.slice(0, height - 1), io.paint(DIM, clip(help, room))];
  }

  /** @param {import('./terminal.js').Io} io @param {number} room */
  #heading(io, room) {
    const { host, lostAt } = this;
    if (lostAt !== null) {
      const text = ` The host is gone since ${timeInWords(lostAt)}: what follows is old. `;
      return io.paint(ALARM, clip(text, room));
    }
    if (host === null) return '';
    const parts = [
      harmless(host.name),
      `pid ${host.pid}`,
      `up ${durationInWords(host.uptimeMs)}`,
      harmless(host.engine),
      timeInWords(Date.now()),
    ];
    return io.paint(BOLD, clip(parts.join('   '), room));
  }

  /**
   * With what is wrong with the host before it.
   * @param {import('./terminal.js').Io} io
   * @param {number} room
   */
  #filter(io, room) {
    const trouble = hostTrouble(this.host);
    const parts = [
      trouble,
      `by ${this.sort}`,
      this.state && `only ${this.state}`,
      (this.isSearching || this.search) &&
        `/${harmless(this.search)}${this.isSearching ? '_' : ''}`,
    ];
    const text = clip(parts.filter(Boolean).join('   '), room);
    return trouble === undefined || this.lostAt !== null ? text : io.paint(RED, text);
  }
}

/** With the time that it is up by then. @param {any} tenant @param {number} now */
const aged = (tenant, now) =>
  tenant.startedAt === null ? tenant : { ...tenant, uptimeMs: now - tenant.startedAt };

/** @param {any} host @param {readonly any[]} tenants */
function totals(host, tenants) {
  const states = ['failed', 'backing-off', 'starting', 'stopping', 'running', 'asleep', 'stopped']
    .map((state) => [tenants.filter((tenant) => tenant.state === state).length, state])
    .filter(([count]) => count !== 0)
    .map(([count, state]) => `${count} ${String(state).replace('-', ' ')}`);
  const parts = [`${several(tenants.length, 'tenant')}: ${states.join(', ')}`];
  if (host?.gateway) {
    parts.push(
      `${rateInWords(host.gateway.requestsPerSecond)} req/s, ${host.gateway.inFlight} open`,
    );
  }
  if (host?.loadAverage) parts.push(`load ${host.loadAverage[0]} on ${host.cpuCount}`);
  if (host?.memory) {
    const { availableBytes, totalBytes } = host.memory;
    parts.push(`${bytesInWords(availableBytes)} free of ${bytesInWords(totalBytes)}`);
  }
  return parts.join('   ');
}

/** @type {import('./commands.js').Run} */
export async function run(given, io) {
  const { words, options } = given;
  if (!io.isTerminal || options.json) return ps.run(given, io);
  const client = clientOf(options, io.env);
  // Says at once what is wrong, before there is a screen to say it on.
  ps.chosen((await client.get('/tenants')).tenants, words);
  const view = new View(words, options.sort, options.state);
  const height = () => io.stdout.rows || 24;
  const redraw = () => screen.draw(view.lines(io, height()));
  const screen = takeScreen(io, {
    onKey: (key) => {
      if (key === '^C') process.exit(EXIT_INTERRUPTED);
      if (key === 'q' && !view.isSearching) process.exit(EXIT_DONE);
      if (view.press(key)) redraw();
    },
    onResize: redraw,
  });
  setInterval(redraw, REDRAW_MS);
  try {
    await client.follow('/tenants', {
      onEvent: (event, data) => {
        view.take(event, data);
        redraw();
      },
      onLost: () => {
        view.lostAt = Date.now();
        redraw();
      },
      onBack: () => void (view.lostAt = null),
    });
  } catch (error) {
    screen.giveBack();
    io.complain(/** @type {Error} */ (error).message);
    process.exit(EXIT_FAILED);
  }
}
