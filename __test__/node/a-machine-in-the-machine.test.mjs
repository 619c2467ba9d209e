// What `npm run test:vm` makes of what apt and the machine say. Whether the machine runs, it shows
// itself.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { countVmTests } from '../../scripts/lib/count-tests.mjs';
import { withParents, writeArchive } from '../../scripts/lib/vm/archive.mjs';
import { initScript } from '../../scripts/lib/vm/init.mjs';
import { LINES, newestKernel } from '../../scripts/lib/vm/kernels.mjs';
import { severalAtOnce } from '../../scripts/lib/vm/machine.mjs';
import { outputs } from '../../scripts/lib/vm/outputs.mjs';
import { allRuns, runsOf, runsOfCommand, usualRuns } from '../../scripts/lib/vm/plan.mjs';
import { readReport, sumOf, tableOf } from '../../scripts/lib/vm/results.mjs';

const FOUND = `
linux-image-6.1.0-9-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-57-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-57-cloud-arm64 - Linux 6.1 for arm64 cloud (signed)
linux-image-6.1.0-58-cloud-amd64-dbg - Debug symbols for linux-image-6.1.0-58-cloud-amd64
linux-image-6.1.0-58-cloud-amd64-unsigned - Linux 6.1 for x86-64 cloud
linux-image-6.12-cloud-amd64 - Linux for x86-64 cloud (meta-package)
linux-image-6.12.100+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)
linux-image-6.12.99+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)
`;

test('the newest kernel of a line is the one with the greatest numbers', () => {
  assert.equal(newestKernel(FOUND, '6.1', 'amd64'), 'linux-image-6.1.0-57-cloud-amd64');
  assert.equal(newestKernel(FOUND, '6.12', 'amd64'), 'linux-image-6.12.100+deb12-cloud-amd64');
  assert.equal(newestKernel(FOUND, '6.12', 'arm64'), undefined);
  assert.equal(newestKernel('', '6.1', 'amd64'), undefined);
});

const [bunRun, nodeRun] = runsOf(['a.test.ts', 'b.test.mjs']);
assert(bunRun && nodeRun);
const BUN = '@@vm start 0\na.test.ts:\n(pass) one\n\n 1 pass\n 0 fail\n\n@@vm end 0 0 10.5 12.5';
const NODE = '@@vm start 1\n✔ two (1ms)\nℹ pass 1\nℹ fail 0\n\n@@vm end 1 0 12.5 13.5';
const FACTS = '@@vm facts Linux 6.1; Landlock 2';

/** @param {string} output */
const reportOf = (output) => readReport(output, [bunRun, nodeRun]);

test('each run has its own figures, and the sum those of all', () => {
  const report = reportOf(`${FACTS}\n${BUN}\n${NODE}\n@@vm done`);
  assert.equal(report.facts, 'Linux 6.1; Landlock 2');
  assert.deepEqual(report.problems, []);
  const figures = report.results.map(({ passed, failed, seconds }) => [passed, failed, seconds]);
  assert.deepEqual(figures, [
    [1, 0, 2],
    [1, 0, 1],
  ]);
  assert.deepEqual(sumOf([report, report]), { passed: 4, failed: 0 });
  assert.match(tableOf([report]), /Linux 6\.1; Landlock 2\n✔ root  in Bun .* 1 +1 +0 +2\n✔ root/);
});

for (const [what, output, failed, complaint] of /** @type {const} */ ([
  ['panics', `${BUN}\nKernel panic - not syncing: oops`, 2, 'the machine did not reach its end'],
  ['does not begin a run', `${BUN}\n@@vm done`, 1, 'did not run'],
  ['does not end a run', `${BUN}\n@@vm start 1\n✔ two\n@@vm done`, 1, 'did not end'],
  [
    'ends a run by force',
    `${BUN}\n@@vm start 1\n✔ two\n@@vm end 1 137 1 2\n@@vm done`,
    1,
    'was ended after',
  ],
  ['runs no test', `${BUN}\n@@vm start 1\n@@vm end 1 0 1 2\n@@vm done`, 1, 'ran no test'],
  [
    'has a runner that fails without a failed test',
    `${BUN}\n@@vm start 1\nℹ pass 1\n@@vm end 1 1 1 2\n@@vm done`,
    1,
    'ended with 1',
  ],
  [
    'has a failed test',
    `${BUN}\n@@vm start 1\nℹ pass 3\nℹ fail 2\n@@vm end 1 1 1 2\n@@vm done`,
    2,
    '✘ root  in Node',
  ],
  ['lacks something', `@@vm problem no swap\n${BUN}\n${NODE}\n@@vm done`, 1, '✘ no swap'],
])) {
  test(`a machine that ${what} has failed`, () => {
    const report = reportOf(output);
    assert.equal(sumOf([report]).failed, failed);
    assert.ok(tableOf([report]).includes(complaint), tableOf([report]));
  });
}

test("npm test takes the sum from the last line, and not the runners' own figures", () => {
  const output = ` 3 pass\n 1 fail\nℹ pass 5\n\nvm: 119 tests passed, 15 failed\n`;
  assert.deepEqual(countVmTests(output, 1), { passed: 119, failed: 15 });
});

test('what a shell would take apart reaches the machine in one piece', () => {
  const script = initScript(runsOfCommand(`echo "it's $HOME"`), 'facts.mjs');
  assert.ok(script.includes(`run 1 user 360 'echo "it'\\''s $HOME"'`));
  assert.equal(spawnSync('sh', ['-n'], { input: script }).status, 0);
});

test('in npm test each file but the hostile ones runs on one kernel, and limits on all as both', () => {
  const filesOf = (/** @type {import('../../scripts/lib/vm/plan.mjs').Run[]} */ runs) =>
    new Set(runs.flatMap(({ files }) => files));
  const usual = LINES.map(usualRuns);
  const isHostile = (/** @type {string} */ file) => file.startsWith('__test__/walls/hostile/');
  const all = [...filesOf(allRuns())];
  assert.deepEqual(filesOf(usual.flat()), new Set(all.filter((file) => !isHostile(file))));
  assert.ok(all.some(isHostile));
  for (const runs of usual) {
    for (const user of ['root', 'user']) {
      const files = filesOf(runs.filter((run) => run.user === user));
      assert.ok(files.has('__test__/walls/limits-are-kept.test.ts'), user);
    }
  }
  // What needs sock_diag not to be there comes before its module is loaded.
  assert.equal(
    usual[0]?.findIndex(({ beforeModules }) => beforeModules),
    0,
  );
  assert.equal(
    allRuns().findIndex(({ beforeModules }) => beforeModules),
    0,
  );
});

test('what machines say is printed machine by machine', () => {
  /** @type {string[]} */
  const printed = [];
  const [first, second] = outputs(2, (line) => void printed.push(line));
  second?.say('c');
  first?.say('a');
  assert.deepEqual(printed, ['a']);
  second?.end();
  first?.say('b');
  first?.end();
  assert.deepEqual(printed, ['a', 'b', 'c']);
});

test('several run at a time, no more than may, and results come in their order', async () => {
  let running = 0;
  let most = 0;
  const results = await severalAtOnce(2, [3, 2, 1], async (turns) => {
    most = Math.max(most, (running += 1));
    for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
    running -= 1;
    return turns;
  });
  assert.deepEqual([results, most], [[3, 2, 1], 2]);
});

test('an archive has each directory before what is in it', () => {
  /** @type {Map<string, import('../../scripts/lib/vm/archive.mjs').Entry>} */
  const entries = new Map();
  entries.set('home/app/a', { kind: 'file', text: 'hello' });
  entries.set('home/app', { kind: 'directory', owner: 1000 });
  assert.deepEqual(
    [...withParents(entries)],
    [
      ['home', { kind: 'directory' }],
      ['home/app', { kind: 'directory', owner: 1000 }],
      ['home/app/a', { kind: 'file', text: 'hello' }],
    ],
  );
});

test('an archive is made of headers, names and contents that fill whole words', () => {
  const directory = mkdtempSync(join(tmpdir(), 'archive-'));
  try {
    const path = join(directory, 'first.cpio');
    writeArchive(
      path,
      new Map([
        ['a', { kind: 'file', mode: 0o755, owner: 7, text: 'hello' }],
        ['b', { kind: 'link', text: 'a' }],
      ]),
    );
    const text = readFileSync(path, 'latin1');
    const entries = [...text.matchAll(/070701((?:[0-9a-f]{8}){13})([^\0]+)\0/g)];
    assert.deepEqual(
      entries.map(([, , name]) => name),
      ['a', 'b', 'TRAILER!!!'],
    );
    const [mode, user, group] = [8, 16, 24].map((at) =>
      parseInt(entries[0]?.[1]?.slice(at, at + 8) ?? '', 16),
    );
    assert.deepEqual([mode, user, group], [0o100755, 7, 7]);
    for (const { index } of entries) assert.equal(index % 4, 0);
    assert.equal(text.length % 4, 0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
