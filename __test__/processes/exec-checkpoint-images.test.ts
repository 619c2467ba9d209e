// The images of execCheckpointDriver on disk: each is whole and of its own key, and nothing else
// is kept.
import { expect, test } from 'bun:test';
import {
  chownSync,
  cpSync,
  existsSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Lab, rejectionOf, RESTORE, sh, SOME_PID } from '../support/processes/fake-criu.ts';

const pid = SOME_PID;

const similarKeys = [
  ...[
    'a',
    'A',
    'a/b',
    'a%2Fb',
    'a-b',
    'a_b',
    'a/B',
    'a b',
    'ä',
    'a\u0308',
    '...',
    '.hidden',
    '-rf',
    'current.json',
  ],
  ...[
    'x'.repeat(512),
    `${'x'.repeat(511)}y`,
    'ä'.repeat(256),
    '🚀'.repeat(128),
    '__proto__',
    "it's $HOME; `x`",
  ],
];

test('no two keys share an image, whatever the file system takes for one name', async () => {
  using lab = new Lab();
  const driver = lab.driver({ restoreCommand: ['printf', 'RESTORED_PID=%d\n', '{pid}'] });
  const pids = similarKeys.map((key, index) => ({ key, pid: 100_000 + index }));
  await Promise.all(pids.map(async (saved) => expect(await driver.checkpoint(saved)).toBe(true)));
  for (const { key, pid } of pids) expect(await driver.restore({ key })).toEqual({ pid });
  const names = readdirSync(lab.imageDir);
  expect(new Set(names.map((name) => name.normalize('NFC').toLowerCase())).size).toBe(
    similarKeys.length,
  );
  for (const name of names) expect(name).toMatch(/^[a-z0-9_-]{1,255}$/);
  await driver.drop('a');
  expect(await driver.has('a')).toBe(false);
  for (const key of similarKeys.slice(1)) expect(await driver.has(key)).toBe(true);
});

test('an image that was moved to the directory of another key is not used', async () => {
  using lab = new Lab();
  const driver = lab.driver();
  await driver.checkpoint({ key: 'a', pid });
  const [ofA = ''] = readdirSync(lab.imageDir);
  await driver.checkpoint({ key: 'b', pid });
  const ofB = readdirSync(lab.imageDir).find((name) => name !== ofA) ?? '';
  rmSync(join(lab.imageDir, ofB), { recursive: true });
  cpSync(join(lab.imageDir, ofA), join(lab.imageDir, ofB), { recursive: true });
  expect(await driver.has('b')).toBe(false);
  expect(await driver.restore({ key: 'b' })).toBe(null);
  // A checkpoint replaces it by an image of the key.
  expect(await driver.checkpoint({ key: 'b', pid })).toBe(true);
  expect(await lab.restored(await driver.restore({ key: 'b' }))).toBe(`b ${pid}`);
});

const recordIs = (text: string) => (directory: string) =>
  writeFileSync(join(directory, 'current.json'), text);
const damages: Record<string, (directory: string) => void> = {
  'a cut one': recordIs('{"key":"app","im'),
  'an empty one': recordIs(''),
  'not an object': recordIs('null'),
  'leading out of the directory': recordIs(JSON.stringify({ key: 'app', pid: 2, image: '../..' })),
  'naming an image that is gone': (directory) => {
    for (const name of readdirSync(directory))
      if (name !== 'current.json') rmSync(join(directory, name), { recursive: true });
  },
};

for (const [what, damage] of Object.entries(damages)) {
  test(`a damaged record of an image, ${what}, is no image`, async () => {
    using lab = new Lab();
    const driver = lab.driver();
    await driver.checkpoint({ key: 'app', pid });
    damage(join(lab.imageDir, readdirSync(lab.imageDir)[0] ?? ''));
    expect(await driver.has('app')).toBe(false);
    expect(await driver.restore({ key: 'app' })).toBe(null);
    expect(await driver.checkpoint({ key: 'app', pid })).toBe(true);
    expect(await driver.has('app')).toBe(true);
    await driver.drop('app');
    expect(lab.images()).toEqual([]);
  });
}

test('a checkpoint that fails is false and leaves nothing; onError gets the end of its stderr', async () => {
  using lab = new Lab();
  const script =
    'mkdir "$1/deep"; echo half > "$1/deep/state"; seq 1000 >&2; echo no such process >&2; exit 3';
  const failing = lab.driver({ checkpointCommand: sh(script, '{dir}') });
  expect(await failing.checkpoint({ key: 'app', pid })).toBe(false);
  expect(await failing.has('app')).toBe(false);
  expect(lab.images()).toEqual([]);
  const [error] = lab.errors;
  expect(error?.code).toBe('ERR_RUNTIME_CHECKPOINT');
  expect(error?.message).toMatch(
    /^checkpointCommand for "app" ended with code 3 \(sh -ec .*\)\n992\n/,
  );
  expect(error?.message).toEndWith('1000\nno such process');
  expect(lab.errors.length).toBe(1);
});

test('a checkpoint that a signal ended is false', async () => {
  using lab = new Lab();
  const driver = lab.driver({ checkpointCommand: sh('kill -TERM $$') });
  expect(await driver.checkpoint({ key: 'app', pid })).toBe(false);
  expect(lab.errors[0]?.message).toContain('ended by SIGTERM');
});

test('an image is replaced as a whole, and only by a checkpoint that went well', async () => {
  using lab = new Lab();
  const driver = lab.driver();
  await driver.checkpoint({ key: 'app', pid: 1234 });
  const failing = lab.driver({ checkpointCommand: sh('echo half > "$1/state"; exit 1', '{dir}') });
  expect(await failing.checkpoint({ key: 'app', pid: 5678 })).toBe(false);
  expect(await lab.restored(await driver.restore({ key: 'app' }))).toBe('app 1234');
  expect(await driver.checkpoint({ key: 'app', pid: 5678 })).toBe(true);
  expect(await lab.restored(await driver.restore({ key: 'app' }))).toBe('app 5678');
  // The key's directory, the record, the image and its one file.
  expect(lab.images().length).toBe(4);
});

test('what a killed host left behind is no image, and the next checkpoint removes it', async () => {
  using lab = new Lab();
  const [started, gate] = [lab.fifo('started'), lab.fifo('gate')];
  const options = {
    checkpointCommand: sh(
      'echo half > "$1/state"; echo $$ > "$2"; cat "$3"',
      '{dir}',
      started,
      gate,
    ),
    restoreCommand: RESTORE,
    imageDir: lab.imageDir,
  };
  const program = `
    import { execCheckpointDriver } from '@absolutejs/runtime';
    await execCheckpointDriver(${JSON.stringify(options)}).checkpoint({ key: 'app', pid: ${pid} });`;
  const host = Bun.spawn([process.execPath, '-e', program], {
    cwd: join(import.meta.dir, '..', '..'),
  });
  await readFile(started);
  host.kill('SIGKILL');
  await host.exited;
  const driver = lab.driver();
  expect(await driver.has('app')).toBe(false);
  expect(await driver.restore({ key: 'app' })).toBe(null);
  expect(lab.images().length).toBe(3);
  // The command ends with 0, but its host is gone, so what it saved does not become an image.
  await writeFile(gate, '');
  expect(await driver.has('app')).toBe(false);
  expect(await lab.driver({ checkpointCommand: ['false'] }).checkpoint({ key: 'app', pid })).toBe(
    false,
  );
  expect(lab.images()).toEqual([]);
  expect(await driver.checkpoint({ key: 'app', pid })).toBe(true);
  expect(await lab.restored(await driver.restore({ key: 'app' }))).toBe(`app ${pid}`);
});

test('images are accessible to the host’s user only', async () => {
  using lab = new Lab();
  const driver = lab.driver({ imageDir: lab.path('new/images') });
  expect(await driver.checkpoint({ key: 'app', pid })).toBe(true);
  const [name = ''] = readdirSync(lab.path('new/images'));
  for (const path of ['new/images', `new/images/${name}`]) {
    expect(statSync(lab.path(path)).mode & 0o777).toBe(0o700);
  }
});

test.skipIf(process.getuid?.() !== 0)(
  "another user's images are neither used nor removed",
  async () => {
    using lab = new Lab();
    const driver = lab.driver();
    await driver.checkpoint({ key: 'app', pid });
    const directory = join(lab.imageDir, readdirSync(lab.imageDir)[0] ?? '');
    chownSync(directory, 65_534, 65_534);
    const calls = [
      () => driver.has('app'),
      () => driver.restore({ key: 'app' }),
      () => driver.checkpoint({ key: 'app', pid }),
      () => driver.drop('app'),
    ];
    for (const call of calls) {
      const error = await rejectionOf(call());
      expect(error).toMatchObject({ code: 'ERR_RUNTIME_CHECKPOINT', key: 'app' });
      expect(error.message).toContain(directory);
    }
    expect(existsSync(join(directory, 'current.json'))).toBe(true);
  },
);

test('a relative imageDir is taken from where the host was when the driver was made', async () => {
  using lab = new Lab();
  const before = process.cwd();
  process.chdir(lab.directory);
  const driver = lab.driver({ imageDir: './images/../images' });
  process.chdir(before);
  expect(await driver.checkpoint({ key: 'app', pid })).toBe(true);
  expect(lab.images().length).toBe(4);
});
