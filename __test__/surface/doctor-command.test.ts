import { expect, test } from 'bun:test';
import { runCommand } from '../../lib/doctor/command.js';
import { type Changes, injectedHost } from '../support/surface/injected-host.ts';

async function run(args: string[], changes: Changes = {}, { colour = false, columns = 100 } = {}) {
  const output = { printed: '', complaints: '' };
  const exitCode = await runCommand(args, injectedHost(changes), {
    print: (text) => void (output.printed += text),
    complain: (text) => void (output.complaints += text),
    colour,
    columns,
  });
  return { exitCode, ...output };
}

test('a good host: exit code 0, and how many tenants fit', async () => {
  const { exitCode, printed, complaints } = await run(['doctor']);
  expect(exitCode).toBe(0);
  expect(complaints).toBe('');
  expect(printed).toContain('  ✔ kernel');
  expect(printed).toEndWith(
    '0 problems, 0 warnings: this host can run tenants, about 285 at once (memory ends first)',
  );
});

test('warnings leave the exit code 0, a problem makes it 1', async () => {
  const warned = await run(['doctor'], { uid: 0 });
  expect(warned.exitCode).toBe(0);
  expect(warned.printed).toContain('  ! user');
  const broken = await run(['doctor'], { env: {} });
  expect(broken.exitCode).toBe(1);
  expect(broken.printed).toContain('  ✘ bun');
  expect(broken.printed).toContain('→ install Bun');
  expect(broken.printed).toEndWith('1 problem, 0 warnings: this host cannot run tenants as it is');
});

test('--tenants says how many are planned', async () => {
  const { printed } = await run(['doctor', '--tenants', '1000']);
  expect(printed).toContain('room for 285 of 1,000 planned tenants');
});

test('--json prints the same findings for programs', async () => {
  const { exitCode, printed } = await run(['doctor', '--json', '--tenants=500'], { env: {} });
  const { ok, plannedTenants, findings } = JSON.parse(printed);
  expect({ exitCode, ok, plannedTenants }).toEqual({ exitCode: 1, ok: false, plannedTenants: 500 });
  expect(findings).toContainEqual({
    check: 'bun',
    level: 'problem',
    found: 'not on PATH',
    means: expect.any(String),
    advice: expect.any(String),
  });
});

test('no line is wider than the terminal, and colour comes only when asked for', async () => {
  const { printed } = await run(['doctor'], { uid: 0 }, { columns: 72 });
  expect(
    Math.max(
      ...printed
        .split('\n')
        .slice(0, -1)
        .map((line) => line.length),
    ),
  ).toBeLessThanOrEqual(72);
  expect(printed).not.toContain('\x1b');
  const { printed: coloured } = await run(['doctor'], { uid: 0 }, { colour: true });
  expect(coloured).toContain('\x1b[33m!\x1b[0m user');
});

test('--help and --version print on stdout', async () => {
  expect(await run(['--help'])).toMatchObject({
    exitCode: 0,
    printed: expect.stringMatching(/^Usage: /),
  });
  expect((await run(['--version'])).printed).toMatch(/^\d+\.\d+\.\d+/);
});

test.each([
  [[], 'A command is missing.'],
  [['docter'], 'Unknown command: docter; did you mean doctor?'],
  [['cure'], 'Unknown command: cure\n'],
  [['doctor', 'now'], 'Unknown command: doctor now'],
  [['doctor', '--jsn'], 'Unknown flag: --jsn; did you mean --json?'],
  [['doctor', '--tenant=5'], 'Unknown flag: --tenant; did you mean --tenants?'],
  [['doctor', '--verbose'], 'Unknown flag: --verbose\n'],
  [['doctor', '-x'], 'Unknown flag: -x\n'],
  ...['many', '0', '-5', '1e3', '0x10', '1.5', ' 5', '9'.repeat(20)].map(
    (value): [string[], string] => [
      ['doctor', '--tenants', value],
      `--tenants must be a whole number above 0, in digits, got ${value}\n`,
    ],
  ),
  [['doctor', '--tenants=-5'], '--tenants must be a whole number above 0, in digits, got -5\n'],
  [['doctor', '--tenants'], '--tenants needs a value\n'],
  [['doctor', '--tenants='], '--tenants needs a value\n'],
  [['doctor', '--tenants', '--json'], '--tenants needs a value\n'],
  [['doctor', '--json=yes'], '--json takes no value, got yes\n'],
])(
  'called as %j it says what is wrong and how it is used, and ends with 2',
  async (args, complaint) => {
    const { exitCode, printed, complaints } = await run(args);
    expect(exitCode).toBe(2);
    expect(printed).toBe('');
    expect(complaints).toContain(complaint);
    expect(complaints).toContain('Usage: npx @absolutejs/runtime doctor');
  },
);
