/** The help, made of the tables of commands and options. */
import { COMMANDS, optionOf } from './commands.js';
import { variable } from './options.js';
import { EXIT_DONE } from './mistakes.js';
import { unknownCommand } from './main.js';
import { wrapped } from './text.js';

const PROGRAM = 'absolutejs-runtime';
const WIDTH = 90;

/** @type {import('./commands.js').Run} */
export async function run({ words: [command] }, io) {
  if (command === 'doctor') return (await import('./doctor.js')).help(io);
  if (command !== undefined && !Object.hasOwn(COMMANDS, command)) throw unknownCommand(command);
  io.print(command === undefined ? overview() : helpOf(command));
  return EXIT_DONE;
}

/** @param {string} command */
export function helpOf(command) {
  const { summary, more = '', example, options } = commandNamed(command);
  const flags = options.map((name) => {
    const { value, short, help, byDefault } = optionOf(command, name);
    const flag = `${short ? `-${short}, ` : ''}--${name}${value ? ` ${value}` : ''}`;
    return [flag, byDefault === undefined ? help : `${help} (${byDefault})`];
  });
  const about = [`${command} ${summary}.`, ...more.split('\n').filter(Boolean)];
  const parts = [
    usageLine(command),
    about.flatMap((paragraph) => wrapped(paragraph, WIDTH)).join('\n'),
    flags.length > 0 && asList(/** @type {[string, string][]} */ (flags)),
    `Example:\n  ${example}`,
  ];
  return parts.filter(Boolean).join('\n\n');
}

function overview() {
  const commands = Object.entries(COMMANDS).map(([name, { words = '', summary }]) => [
    `${name} ${words}`.trim(),
    summary,
  ]);
  return [
    usageLine(),
    asList(/** @type {[string, string][]} */ (commands)),
    `${PROGRAM} COMMAND --help says more. A host is found by its socket: --control PATH or\n` +
      `${variable('control')} where it is not the usual one. --version prints the version.`,
    'Exit codes: 0 done, 1 failed, 2 called wrongly, 130 after ^C.',
    `Example:\n  ${PROGRAM} serve ./tenants`,
  ].join('\n\n');
}

/** What a command that was called wrongly ends with. @param {string} [command] */
export const usageOf = (command) =>
  `${usageLine(command)}\nSee ${PROGRAM} ${command === undefined ? 'help' : `${command} --help`}.`;

/** @param {string} [command] */
function usageLine(command) {
  if (command === undefined) return `Usage: npx @absolutejs/runtime COMMAND, or ${PROGRAM} COMMAND`;
  const { words = '', options } = commandNamed(command);
  const flags = options.length > 0 ? '[flags]' : '';
  return `Usage: ${[PROGRAM, command, words, flags].filter(Boolean).join(' ')}`;
}

/** @param {[string, string][]} rows */
function asList(rows) {
  const first = Math.max(...rows.map(([term]) => term.length));
  return rows
    .map(([term, text]) => {
      const [line, ...rest] = wrapped(text, WIDTH - first - 4);
      const indent = ' '.repeat(first + 4);
      return [`  ${term.padEnd(first)}  ${line}`, ...rest.map((more) => indent + more)].join('\n');
    })
    .join('\n');
}

/** @param {string} name */
const commandNamed = (name) => /** @type {import('./commands.js').Command} */ (COMMANDS[name]);
