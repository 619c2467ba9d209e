/** The command line of the doctor: its arguments, what it prints, and its exit code. */
import { readFileSync } from 'node:fs';
import { readFlags, unknown } from './arguments.js';
import { examine } from './examine.js';
import { asText } from './report.js';

const EXIT_GOOD = 0;
const EXIT_PROBLEM = 1;
const EXIT_USAGE = 2;
/** The default of `maxConcurrent`. */
const DEFAULT_TENANTS = 100;
const DEFAULT_COLUMNS = 100;

const USAGE = `Usage: npx @absolutejs/runtime doctor [--tenants <n>] [--json]

  doctor         says what this host offers, what that means for tenants, and what to change
  --tenants <n>  how many tenants are to be alive at once (${DEFAULT_TENANTS})
  --json         prints the findings as JSON
  --help         prints this
  --version      prints the version of @absolutejs/runtime

It ends with exit code 0 when tenants can run here, 1 when something keeps them from it, and 2 when it was called wrongly.`;

/**
 * @typedef {{ print: (text: string) => void, complain: (text: string) => void, colour: boolean,
 * columns?: number }} Terminal
 */

/**
 * @param {string[]} args
 * @param {import('./host.js').Host} host
 * @param {Terminal} terminal
 * @returns {Promise<number>} the exit code
 */
export async function runCommand(args, host, terminal) {
  const asked = parse(args);
  if ('error' in asked) {
    terminal.complain(`${asked.error}\n\n${USAGE}`);
    return EXIT_USAGE;
  }
  if (asked.command !== 'doctor') {
    terminal.print(asked.command === 'help' ? USAGE : packageVersion());
    return EXIT_GOOD;
  }
  const { json, tenants } = asked;
  const sections = await examine(host, { tenants });
  const findings = sections.flatMap((section) => section.findings);
  const isGood = findings.every(({ level }) => level !== 'problem');
  const version = packageVersion();
  if (json) {
    terminal.print(
      JSON.stringify({ version, plannedTenants: tenants, ok: isGood, findings }, null, 2),
    );
  } else {
    const { colour, columns = DEFAULT_COLUMNS } = terminal;
    terminal.print(
      asText(sections, { heading: `@absolutejs/runtime ${version}`, colour, columns }),
    );
  }
  return isGood ? EXIT_GOOD : EXIT_PROBLEM;
}

/**
 * @param {string[]} args
 * @returns {{ command: 'help' | 'version' } | { command: 'doctor', json: boolean, tenants: number
 * } | { error: string }}
 */
function parse(args) {
  const given = readFlags(args, {
    json: { type: 'boolean', default: false },
    tenants: { type: 'string', default: String(DEFAULT_TENANTS) },
    help: { type: 'boolean', short: 'h', default: false },
    version: { type: 'boolean', short: 'v', default: false },
  });
  if ('error' in given) return given;
  const { values, words } = given;
  if (values.help) return { command: 'help' };
  if (values.version) return { command: 'version' };
  if (words.length === 0) return { error: 'A command is missing.' };
  if (words.join(' ') !== 'doctor')
    return { error: unknown('command', words.join(' '), ['doctor']) };
  const tenants = /^\d+$/.test(values.tenants) ? Number(values.tenants) : NaN;
  if (!Number.isSafeInteger(tenants) || tenants < 1) {
    return { error: `--tenants must be a whole number above 0, in digits, got ${values.tenants}` };
  }
  return { command: 'doctor', json: values.json, tenants };
}

/** @returns {string} */
function packageVersion() {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}
