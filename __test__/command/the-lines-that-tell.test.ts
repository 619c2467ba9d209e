// Of a process's last lines those are shown that say why it ended, in `ps`, the journal and the page.
import { expect, test } from 'bun:test';
import { tellingOf } from '../../lib/dashboard/page/telling.js';
import { failed, fakeHost } from '../support/command/fake-host.mjs';
import { directory, run } from '../support/command/run.ts';

const ERROR = 'error: DATABASE_URL is missing';
/** What Bun says of a program that throws, below what that printed. */
const OF_BUN = [
  'starting shop',
  '1 | const url = process.env.DATABASE_URL;',
  "2 | if (!url) throw new Error('DATABASE_URL is missing');",
  '                    ^',
  `\x1b[31m${ERROR}\x1b[0m`,
  '      at /srv/shop/server.ts:2:21',
  '      at loadAndEvaluateModule (2:1)',
  '      at asyncModuleEvaluation (3:1)',
  '',
  'Bun v1.4.5 (Linux x64)',
  'error: script "start" exited with code 1',
];

test('the error is told before its source, and that before its stack', () => {
  expect(tellingOf(OF_BUN, 1)).toEqual([OF_BUN[4]!]);
  expect(tellingOf(OF_BUN, 2)).toEqual(['starting shop', OF_BUN[4]!]);
  expect(tellingOf(OF_BUN, 5)).toEqual(OF_BUN.slice(0, 5));
  expect(tellingOf(OF_BUN, 20)).toEqual(OF_BUN.slice(0, 8));
});

test('an error stays, however much is said after it; of the rest the latest does', () => {
  const after = Array.from({ length: 9 }, (_, count) => `closing ${count}`);
  const lines = ['TypeError: no url', '    at start (server.js:1:7)', ...after];
  expect(tellingOf(lines, 3)).toEqual(['TypeError: no url', 'closing 7', 'closing 8']);
});

test('an error is one however its terminal is asked to show it', () => {
  for (const [before, after] of [
    ['\x1b[38:5:9m', '\x1b[m'],
    ['\x1b[2K', ''],
    ['\x1b]8;;file:///srv/shop\x07', '\x1b]8;;\x07'],
  ]) {
    const line = `${before}${ERROR}${after}`;
    expect(tellingOf(['starting', line, 'ends'], 1)).toEqual([line]);
  }
});

test('what the program that runs the command says is left out, unless there is nothing else', () => {
  const wrapper = ['$ bun server.ts', 'error: script "start" exited with code 1', ''];
  expect(tellingOf(['no database', ...wrapper], 5)).toEqual(['no database']);
  expect(tellingOf(wrapper, 5)).toEqual(wrapper.slice(0, 2));
  expect(tellingOf([], 5)).toEqual([]);
});

test('ps tells the error; inspect and ps of a key tell all', async () => {
  using place = directory();
  const host = await fakeHost(place.socket, { tenants: [failed('acme', { lines: OF_BUN })] });
  const shown = async (...words: string[]) =>
    (await run([...words, '--control', place.socket])).stdout;
  const ps = await shown('ps');
  expect(ps).toContain(`    ${ERROR}\n`);
  expect(ps).not.toMatch(/Bun v|script "start"|loadAndEvaluate/);
  for (const words of [
    ['inspect', 'acme'],
    ['ps', 'acme'],
  ]) {
    expect(await shown(...words)).toMatch(/at loadAndEvaluate[^]*Bun v1[^]*script "start" exited/);
  }
  await host.close();
});
