// The checkout's scripts refuse unknown arguments before they do anything, and suggest the nearest
// one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { PATH } from '../support/surface/node.mjs';

const cwd = fileURLToPath(new URL('../..', import.meta.url));
const env = { ...process.env, PATH };

/** @type {[string, string, RegExp][]} */
const refused = [
  [
    'node',
    'scripts/demo.mjs --onec',
    /^✘ Unknown flag: --onec; did you mean --once\?\n\nusage: npm run demo/,
  ],
  ['node', 'scripts/demo.mjs once', /^✘ Unknown argument: once; did you mean --once\?\n/],
  ['bun', 'bench/run.ts --ronds 3', /^✘ Unknown flag: --ronds; did you mean --rounds\?\n/],
  [
    'bun',
    'bench/run.ts ensure-runing',
    /^✘ Unknown scenario: ensure-runing; did you mean ensure-running\?\n/,
  ],
  [
    'bun',
    'bench/run.ts --rounds many',
    /^✘ --rounds must be a whole number of at least 1, got many\n/,
  ],
  [
    'node',
    'scripts/pack.mjs dist --targt x',
    /^✘ Unknown flag: --targt; did you mean --target\?\n/,
  ],
  [
    'node',
    'scripts/pack.mjs dist --target linux-x64-gun',
    /^✘ .* linux-x64-gun; did you mean linux-x64-gnu\?\n/,
  ],
  ['node', 'scripts/pack.mjs', /^✘ DIR is missing\n/],
  ['node', 'scripts/fuzz.mjs protocl', /^✘ Unknown target: protocl; did you mean protocol\?\n/],
  [
    'node',
    'scripts/fuzz.mjs --seconds soon',
    /^✘ --seconds must be a whole number above 0, got soon\n/,
  ],
  [
    'node',
    'scripts/planted.mjs SamePor',
    /^✘ Unknown bug: SamePor; did you mean SamePort\?\n\nusage: npm run planted/,
  ],
  [
    'node',
    'scripts/soak.mjs --minuts 1',
    /^✘ Unknown flag: --minuts; did you mean --minutes\?\n\nusage: npm run soak/,
  ],
  [
    'node',
    'scripts/soak.mjs --lanes none',
    /^✘ --lanes must be a number greater than 0, got none\n/,
  ],
  ['bun', 'soak/run.ts --engine nod', /^✘ --engine must be bun or node, got nod\n/],
  [
    'bun',
    'scripts/fuzz-surface.mjs --second 1',
    /^✘ Unknown flag: --second; did you mean --seconds\?\n/,
  ],
  ['node', 'scripts/fuzz-surface.mjs 60', /^✘ Unknown argument: 60\n/],
  ['node', 'scripts/fuzz-surface.mjs --seconds soon', /^✘ --seconds must be a number, got soon\n/],
  ['node', 'scripts/vm.mjs --kernal 6.1', /^✘ Unknown flag: --kernal; did you mean --kernel\?\n/],
  ['node', 'scripts/vm.mjs --kernel 6.2', /^✘ Unknown value of --kernel: 6\.2; did you mean 6\.1/],
  ['node', 'scripts/test.mjs pool', /^✘ Unknown argument: pool\n\nusage: npm test\n/],
  ['node', 'scripts/build.mjs --relase', /^✘ Unknown flag: --relase\n/],
  ['node', 'scripts/setup.mjs now', /^✘ Unknown argument: now\n/],
  ['node', 'scripts/set-version.mjs 1.0.0', /^✘ Unknown argument: 1.0.0\n/],
];

for (const [engine, command, complaint] of refused) {
  test(`${command} ends with 2`, () => {
    const args = command.split(' ');
    const { status, stderr, stdout } = spawnSync(engine, args, { cwd, env, encoding: 'utf8' });
    assert.match(stderr, complaint);
    assert.equal(status, 2);
    assert.equal(stdout, '');
  });
}

test('--help says how each is called, and ends with 0', () => {
  const ours = [
    'build',
    'demo',
    'fuzz',
    'fuzz-surface',
    'pack',
    'planted',
    'set-version',
    'setup',
    'soak',
    'vm',
  ];
  for (const script of [...ours, 'test']) {
    const args = [`scripts/${script}.mjs`, '--help'];
    const { status, stdout } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' });
    assert.equal(status, 0, script);
    assert.match(stdout, /^usage: (?:npm|node) /, script);
  }
});
