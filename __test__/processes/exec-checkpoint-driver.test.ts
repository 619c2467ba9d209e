// The driver that checkpoints and restores with two commands.
import { expect, test } from 'bun:test';
import { execCheckpointDriver, type ExecCheckpointDriverOptions } from '@absolutejs/runtime';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { Lab, rejectionOf, sh, SOME_PID } from '../support/processes/fake-criu.ts';

const pid = SOME_PID;

test('what was saved is restored, as often as it is asked for, until it is dropped', async () => {
  using lab = new Lab();
  const driver = lab.driver();
  expect(await driver.has('org/app')).toBe(false);
  expect(await driver.restore({ key: 'org/app' })).toBe(null);
  expect(await driver.checkpoint({ key: 'org/app', pid })).toBe(true);
  expect(await driver.has('org/app')).toBe(true);
  const first = await driver.restore({ key: 'org/app' });
  expect(await lab.restored(first)).toBe(`org/app ${pid}`);
  // A driver made later, by the next host perhaps, finds the same image.
  const second = await lab.driver().restore({ key: 'org/app' });
  expect(await lab.restored(second)).toBe(`org/app ${pid}`);
  expect(second?.pid).not.toBe(first?.pid);
  await driver.drop('org/app');
  expect(await driver.has('org/app')).toBe(false);
  expect(await driver.restore({ key: 'org/app' })).toBe(null);
  expect(lab.images()).toEqual([]);
  await driver.drop('org/app');
  expect(lab.errors).toEqual([]);
});

test('placeholders are filled in literally, once, in every part of both commands', async () => {
  using lab = new Lab();
  const key = "{pid} {dir} $& $1 $$ `x` 'y' {key}";
  const say = 'name=$1; shift; printf "%s\\n" "$@" > "$name"';
  const words = ['{key}', '{key}={key}', '--pid={pid}', '{dir}/{dir}', '{other} {} {{pid}} {PID}'];
  const driver = lab.driver({
    checkpointCommand: sh(say, lab.path('saved'), ...words),
    restoreCommand: sh(`${say}; echo RESTORED_PID=2`, lab.path('restored'), ...words),
  });
  expect(await driver.checkpoint({ key, pid })).toBe(true);
  expect(await driver.restore({ key })).toEqual({ pid: 2 });
  const saved = await lab.said('saved');
  const [, image = ''] = /^(.*)\/\1$/m.exec(saved) ?? [];
  expect(image.startsWith(`${lab.imageDir}/`)).toBe(true);
  expect(saved.split('\n')).toEqual([
    key,
    `${key}=${key}`,
    `--pid=${pid}`,
    `${image}/${image}`,
    `{other} {} {${pid}} {PID}`,
  ]);
  // The pid that was saved, and the same directory.
  expect(await lab.said('restored')).toBe(saved);
});

test("the program's name is filled in as well, and later changes to the arrays are not seen", async () => {
  using lab = new Lab();
  const restoreCommand = ['{dir}/run'];
  const script = 'printf "#!/bin/sh\\necho RESTORED_PID=77" > "$1/run"; chmod +x "$1/run"';
  const driver = lab.driver({ checkpointCommand: sh(script, '{dir}'), restoreCommand });
  restoreCommand[0] = 'false';
  expect(await driver.checkpoint({ key: 'app', pid })).toBe(true);
  expect(await driver.restore({ key: 'app' })).toEqual({ pid: 77 });
});

test('operations on one key wait for each other, those on different keys do not', async () => {
  using lab = new Lab();
  const [started, gate] = [lab.fifo('started'), lab.fifo('gate')];
  const slow = lab.driver({
    checkpointCommand: sh('echo slow > "$1/state"; echo > "$2"; cat "$3"', '{dir}', started, gate),
  });
  const other = lab.driver();
  const order: string[] = [];
  const note = (what: string) => (value: unknown) =>
    order.push(`${what}: ${JSON.stringify(value)}`);
  const first = slow.checkpoint({ key: 'a', pid }).then(note('checkpoint'));
  const second = other.restore({ key: 'a' }).then((result) => {
    order.push('restore');
    return lab.restored(result);
  });
  const third = other.drop('a').then(note('drop'));
  const fourth = other.restore({ key: 'a' }).then(note('restore after drop'));
  await readFile(started);
  expect(await other.checkpoint({ key: 'b', pid })).toBe(true);
  expect(await lab.restored(await other.restore({ key: 'b' }))).toBe(`b ${pid}`);
  // Told at once: it is not there yet.
  expect(await other.has('a')).toBe(false);
  expect(order).toEqual([]);
  await writeFile(gate, '');
  expect(await second).toBe('slow');
  await Promise.all([first, third, fourth]);
  expect(order).toEqual([
    'checkpoint: true',
    'restore',
    'drop: undefined',
    'restore after drop: null',
  ]);
});

test('invalid keys and pids are refused before a command is run', async () => {
  using lab = new Lab();
  const driver = lab.driver({ checkpointCommand: sh('echo > "$1"', lab.path('ran')) });
  for (const key of ['', '..', '/a', 'a/../b', 'a\0b', 'a'.repeat(513), undefined as never]) {
    const calls = [
      driver.checkpoint({ key, pid }),
      driver.restore({ key }),
      driver.drop(key),
      driver.has(key),
    ];
    for (const call of calls)
      expect((await rejectionOf(call)).code).toBe('ERR_RUNTIME_INVALID_KEY');
  }
  for (const pid of [0, 1, -5, 1.5, NaN, 2 ** 31, process.pid, '7' as never, undefined as never]) {
    const error = await rejectionOf(driver.checkpoint({ key: 'app', pid }));
    expect(error.code).toBe('ERR_RUNTIME_CHECKPOINT');
    expect(error.message).toContain(pid === process.pid ? 'the host itself' : String(pid));
  }
  expect(existsSync(lab.path('ran'))).toBe(false);
  expect(lab.images()).toEqual([]);
});

test('bad options are refused at once, by name', () => {
  const good = { checkpointCommand: ['true'], restoreCommand: ['true'], imageDir: 'images' };
  const bad: [string, unknown][] = [
    ...[undefined, 'criu dump', [], [''], ['a', 1], ['a\0'], new Array(1)].flatMap(
      (value): [string, unknown][] => [
        ['checkpointCommand', value],
        ['restoreCommand', value],
      ],
    ),
    ...[undefined, '', 7, 'a\0b'].map((value): [string, unknown] => ['imageDir', value]),
    ...[0, -1, NaN, '1s'].map((value): [string, unknown] => ['timeoutMs', value]),
    ['onError', 'log'],
  ];
  for (const [name, value] of bad) {
    let thrown: unknown;
    try {
      execCheckpointDriver({ ...good, [name]: value } as ExecCheckpointDriverOptions);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(TypeError);
    expect(thrown).toMatchObject({ code: 'ERR_RUNTIME_INVALID_OPTION' });
    expect((thrown as Error).message).toStartWith(`${name} must be `);
  }
  expect(() => execCheckpointDriver(undefined as never)).toThrow(
    'options must be an object, got undefined',
  );
  expect(existsSync('images')).toBe(false);
});
