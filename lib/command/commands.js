/** The table of all commands: what each does, takes and is shown by, and the module that does it. */
import { OPTIONS } from './options.js';
import { fleetName } from './values.js';

const CLIENT = ['control', 'json', 'help'];

/**
 * @typedef {object} Command
 * @property {string} [words] its positional arguments, for the help
 * @property {[number, number]} [count] how many of them, least and most
 * @property {string} summary
 * @property {string} [more] of the help
 * @property {string} example
 * @property {readonly string[]} options
 * @property {Record<string, import('./options.js').Option>} [own] those of the options that mean
 *   something else to this command than to `serve`
 * @property {readonly string[]} [completes] the first argument; keys of tenants if it is not given
 * @property {() => Promise<{ run: Run }>} load
 */

/**
 * @typedef {object} Given what a command line says
 * @property {string} command
 * @property {string[]} words
 * @property {Record<string, any>} options with defaults, each read
 * @property {Set<string>} said the names of those that were on the command line
 */

/** @typedef {(given: Given, io: import('./terminal.js').Io) => Promise<number | void>} Run */

const EVERY_KEY = /** @type {[number, number]} */ ([0, Infinity]);
const SOME_KEYS = /** @type {[number, number]} */ ([1, Infinity]);

/** @type {Record<string, Command>} */
export const COMMANDS = {
  serve: {
    words: '[DIR]',
    count: [0, 1],
    summary: 'serves a directory of apps: starts, walls and limits them, and routes requests',
    more:
      'Each directory in DIR (by default ./tenants) is a tenant: `bun run start` is started there ' +
      'with the first request, and stopped when it is not used.\n' +
      'Flags come before ABSOLUTE_RUNTIME_* (such as ABSOLUTE_RUNTIME_STOP_TIMEOUT), and these ' +
      'before the config file, whose keys are the flags in camel case, dir, and tenant: (key) => ' +
      'what differs for one. SIGTERM drains the host, SIGHUP reads the config file again, and with ' +
      '--survive SIGUSR2 leaves its tenants to the next host.',
    example: 'absolutejs-runtime serve ./tenants --memory 256M --dashboard 127.0.0.1:3900',
    options: [
      ...Object.keys(OPTIONS).slice(0, Object.keys(OPTIONS).indexOf('follow')),
      'json',
      'help',
    ],
    completes: [],
    load: () => import('./serve/serve.js'),
  },
  ps: {
    words: '[KEY…]',
    count: EVERY_KEY,
    summary: 'shows the tenants, what is wrong first',
    more:
      'With --fleet: who has which key in the whole fleet, as this host sees it, and what its tenant ' +
      'does, which its host is asked for. Keys that nobody has claimed yet are left out.',
    example: 'absolutejs-runtime ps --state failed',
    options: ['fleet', 'state', 'sort', 'quiet', ...CLIENT],
    own: { fleet: { help: 'the tenants of all hosts of the fleet that this one is in' } },
    load: () => import('./ps.js'),
  },
  top: {
    words: '[KEY…]',
    count: EVERY_KEY,
    summary: 'shows them as they change',
    more:
      'Keys: q quits, s sorts by the next figure (or p r c m k), f shows the next state, / searches ' +
      'keys (Esc ends that), arrows scroll. Without a terminal it prints what ps prints.',
    example: 'absolutejs-runtime top --sort memory',
    options: ['state', 'sort', ...CLIENT],
    load: () => import('./top.js'),
  },
  inspect: {
    words: 'KEY',
    count: [1, 1],
    summary: 'shows all about one',
    example: 'absolutejs-runtime inspect acme',
    options: CLIENT,
    load: () => import('./inspect.js'),
  },
  events: {
    words: '[KEY…]',
    count: EVERY_KEY,
    summary: 'shows what happened: starts, exits, back-off',
    example: 'absolutejs-runtime events --follow',
    options: ['follow', 'since', 'lines', ...CLIENT],
    load: () => import('./events.js'),
  },
  logs: {
    words: '[KEY…]',
    count: EVERY_KEY,
    summary: 'shows what tenants print',
    more:
      'Terminal escapes are shown and not sent; --json keeps them. --grep looks at the text of the ' +
      'line.',
    example: "absolutejs-runtime logs acme -f --since 10m --grep 'error|warn'",
    options: ['follow', 'since', 'grep', 'stream', 'lines', ...CLIENT],
    load: () => import('./logs.js'),
  },
  ...Object.fromEntries(
    /** @type {const} */ ([
      ['start', 'starts a tenant now', ''],
      ['stop', 'stops it, until it is asked for again', ''],
      ['restart', 'stops it and starts it afresh', 'It ignores back-off.'],
      [
        'replace',
        'starts a new process beside the old one, then moves requests over',
        'If the new process fails, the old one goes on.',
      ],
      ['clear', 'forgets its failures, so that it is started again', ''],
    ]).map(([name, summary, more]) => [
      name,
      {
        words: 'KEY…',
        count: SOME_KEYS,
        summary,
        more: `${more} It prints what the tenant then is.`.trim(),
        example: `absolutejs-runtime ${name} acme`,
        options: CLIENT,
        load: () => import('./act.js'),
      },
    ]),
  ),
  hosts: {
    count: [0, 0],
    summary: 'shows the hosts of the fleet that this one is in',
    example: 'absolutejs-runtime hosts --json',
    options: CLIENT,
    completes: [],
    load: () => import('./hosts.js'),
  },
  drain: {
    count: [0, 0],
    summary: 'ends the host in order: open requests end, tenants stop',
    more:
      'In a fleet other hosts get its tenants first. With --host this is done to another host of the ' +
      'fleet, by way of this one; the command waits until that one has no tenants any more.',
    example: 'absolutejs-runtime drain --control /run/apps.sock',
    options: ['host', ...CLIENT],
    own: { host: { value: 'ID', read: fleetName, help: 'another host of the fleet: see hosts' } },
    load: () => import('./drain.js'),
  },
  end: {
    words: 'NAME',
    count: [1, 1],
    summary: 'ends the tenants that a host has left, whose name with --survive that was',
    more: 'Of a name that a host has it ends nothing. It waits until all is gone.',
    example: 'absolutejs-runtime end apps',
    options: ['json', 'help'],
    completes: [],
    load: () => import('./end.js'),
  },
  doctor: {
    count: [0, 0],
    summary: 'says what this machine offers and lacks',
    example: 'absolutejs-runtime doctor --tenants 500',
    options: [],
    completes: [],
    load: () => import('./doctor.js'),
  },
  completions: {
    words: 'SHELL',
    count: [1, 1],
    summary: 'prints completions for bash, zsh or fish',
    more:
      'bash: source <(absolutejs-runtime completions bash)\n' +
      'zsh: source <(absolutejs-runtime completions zsh)\n' +
      'fish: absolutejs-runtime completions fish | source',
    example: 'absolutejs-runtime completions bash > /etc/bash_completion.d/absolutejs-runtime',
    options: ['help'],
    completes: ['bash', 'zsh', 'fish'],
    load: () => import('./completions.js'),
  },
  help: {
    words: '[COMMAND]',
    count: [0, 1],
    summary: 'says more of a command',
    example: 'absolutejs-runtime help serve',
    options: ['help'],
    get completes() {
      return Object.keys(COMMANDS);
    },
    load: () => import('./help.js'),
  },
};

/**
 * An option as the command takes it.
 *
 * @param {string} command
 * @param {string} name
 */
export const optionOf = (command, name) =>
  /** @type {import('./options.js').Option} */ (COMMANDS[command]?.own?.[name] ?? OPTIONS[name]);
