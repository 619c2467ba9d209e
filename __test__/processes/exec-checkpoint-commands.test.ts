// How execCheckpointDriver runs its commands, and reads their output.
import { expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import {
  Lab,
  rejectionOf,
  restoreAnd,
  SAVE,
  sh,
  SOME_PID,
} from '../support/processes/fake-criu.ts';
import {
  engineNames,
  engines,
  processes,
  signal,
  processOf,
  until,
  within,
} from '../support/processes/index.ts';

const pid = SOME_PID;
const key = 'app';

/** A lab with an image of `app`. */
async function withImage() {
  const lab = new Lab();
  await lab.driver().checkpoint({ key, pid });
  return lab;
}

const printing = (text: string) => ['printf', '%b', text];

const told = {
  'a line among others': 'restoring…\\nRESTORED_PID=4711\\ndone\\n',
  'a last line without an end': 'RESTORED_PID=4711',
  'a line with a carriage return': 'RESTORED_PID=4711\\r\\n',
  'the same line twice': 'RESTORED_PID=4711\\nRESTORED_PID=4711\\n',
  'other lines that mention it':
    'see RESTORED_PID=1\\n RESTORED_PID=2\\nrestored_pid=3\\nRESTORED_PID=4711\\n',
  'much before it': `${'x'.repeat(100_000)}\\n${'y\\n'.repeat(1_000)}RESTORED_PID=4711\\n`,
};

for (const [what, text] of Object.entries(told)) {
  test(`the restored pid is read: ${what}`, async () => {
    using lab = await withImage();
    const driver = lab.driver({ restoreCommand: printing(text) });
    expect(await driver.restore({ key })).toEqual({ pid: 4711 });
    expect(lab.errors).toEqual([]);
  });
}

const host = String(process.pid);
const nonsense = [
  '0',
  '1',
  '-1',
  '-4711',
  'abc',
  '',
  ' 4711',
  '4711 4712',
  '1.5',
  '0x10',
  '007',
  '2147483648',
  '9'.repeat(400),
  host,
];

for (const value of nonsense) {
  test(`RESTORED_PID=${value === host ? '<the host>' : value.slice(0, 20)} is no pid of a tenant`, async () => {
    using lab = await withImage();
    const driver = lab.driver({ restoreCommand: printing(`RESTORED_PID=${value}\\n`) });
    const error = await rejectionOf(driver.restore({ key }));
    expect(error.code).toBe('ERR_RUNTIME_CHECKPOINT');
    expect(error.message).toMatch(
      /^restoreCommand for "app" printed an impossible RESTORED_PID=<n>: /,
    );
    expect(error.message).toContain(
      value === host ? `${host} is the host itself` : value.slice(0, 80),
    );
    expect(lab.errors).toEqual([error]);
  });
}

test('two different pids are an error', async () => {
  using lab = await withImage();
  const driver = lab.driver({
    restoreCommand: printing('RESTORED_PID=4711\\nRESTORED_PID=4712\\n'),
  });
  const error = await rejectionOf(driver.restore({ key }));
  expect(error.message).toContain('printed both RESTORED_PID=4711 and RESTORED_PID=4712');
});

test('a command that names no pid has restored nothing, even if something holds its output open', async () => {
  using lab = await withImage();
  const fifo = lab.fifo('fifo');
  for (const restoreCommand of [['true'], sh('cat "$1" & echo restored', fifo)]) {
    const error = await rejectionOf(lab.driver({ restoreCommand }).restore({ key }));
    expect(error.message).toBe('restoreCommand for "app" printed no line RESTORED_PID=<n>');
  }
  execFileSync('sh', ['-c', ': > "$1"', 'sh', fifo]);
});

test('a restore that fails is null, also if it named a pid before; onError gets the end of its stderr', async () => {
  using lab = await withImage();
  for (const script of [
    'echo pid taken >&2; exit 1',
    'echo RESTORED_PID=4711; echo pid taken >&2; exit 1',
  ]) {
    expect(await lab.driver({ restoreCommand: sh(script) }).restore({ key })).toBe(null);
    const error = lab.errors.pop();
    expect(error?.message).toMatch(/^restoreCommand for "app" ended with code 1 .*\npid taken$/);
  }
  // The image is kept.
  expect(await lab.restored(await lab.driver().restore({ key }))).toBe(`${key} ${pid}`);
});

test('the restored process may hold the output of its command open, and write to it', async () => {
  using lab = await withImage();
  const script =
    'setsid sh -c \'seq 300000; echo complete > "$0"; STATE= exec sleep 1000\' "$1" & echo RESTORED_PID=$!';
  const driver = lab.driver({ restoreCommand: sh(script, lab.path('wrote')) });
  const result = await driver.restore({ key });
  // More than a pipe holds.
  expect(await lab.said('wrote')).toBe('complete');
  await lab.restored(result);
});

test('a restore command may run for as long as the process it restored, and its output is read on', async () => {
  using lab = await withImage();
  const [parentFile, wroteFile, overFile] = ['parent', 'wrote', 'over'].map((name) =>
    lab.path(name),
  );
  const flood = `seq 300000; seq 300000 >&2; echo all > ${wroteFile}`;
  const rest = `echo $$ > ${parentFile}; echo RESTORED_PID=$pid; ${flood}; wait $pid || echo over > ${overFile}`;
  const driver = lab.driver({ restoreCommand: restoreAnd(rest) });
  const result = await driver.restore({ key });
  expect(await lab.restored(result)).toBe(`${key} ${pid}`);
  // Meanwhile other operations on the key do not wait.
  await driver.drop(key);
  expect(await driver.has(key)).toBe(false);
  expect(await lab.said('wrote')).toBe('all');
  const parent = processOf(Number(await lab.said('parent')));
  expect(parent?.parent).toBe(process.pid);
  signal(processOf(result?.pid ?? 0), 'SIGKILL');
  expect(await lab.said('over')).toBe('over');
  // Reaped, like every other command.
  await until('no zombie is left', () => !processes().some(({ pid }) => pid === parent?.pid));
});

test('a command that runs on and names an invalid pid is killed with its process group', async () => {
  using lab = await withImage();
  const script = 'sleep 1000 & echo $! > "$1"; echo RESTORED_PID=0; wait';
  const driver = lab.driver({ restoreCommand: sh(script, lab.path('restored')) });
  expect((await rejectionOf(driver.restore({ key }))).message).toContain('impossible');
  const restored = Number(await lab.said('restored'));
  await until('what it restored is gone', () => (processOf(restored)?.state ?? 'Z') === 'Z');
});

test('a command may become the restored process itself', async () => {
  using lab = await withImage();
  const driver = lab.driver({
    restoreCommand: sh('echo RESTORED_PID=$$; STATE=same exec sleep 1000'),
  });
  expect(await lab.restored(await driver.restore({ key }))).toBe('same');
});

test('a program that is not there: an error that names it', async () => {
  using lab = await withImage();
  const driver = lab.driver({
    checkpointCommand: ['no-such-program'],
    restoreCommand: [lab.path('absent'), '{key}'],
  });
  const checkpoint = await rejectionOf(driver.checkpoint({ key, pid }));
  expect(checkpoint.code).toBe('ERR_RUNTIME_CHECKPOINT');
  expect(checkpoint.message).toMatch(
    /^checkpointCommand for "app" could not be started: .*no-such-program/,
  );
  const restore = await rejectionOf(driver.restore({ key }));
  expect(restore.message).toContain(`(${lab.path('absent')} app)`);
  expect(lab.errors).toEqual([checkpoint, restore]);
  expect(await driver.has(key)).toBe(true);
});

test('a command out of time is killed with its process group, and leaves no image', async () => {
  using lab = new Lab();
  const script = 'trap "" TERM; cat "$1" & echo half > "$2/state"; echo $! > "$3"; cat "$1"';
  const words = [lab.fifo('never'), '{dir}', lab.path('helper')];
  const timeoutMs = 1_000;
  const driver = lab.driver({
    checkpointCommand: sh(script, ...words),
    restoreCommand: sh(script, ...words),
    timeoutMs,
  });
  const checkpoint = await rejectionOf(driver.checkpoint({ key, pid }));
  expect(checkpoint.code).toBe('ERR_RUNTIME_CHECKPOINT');
  expect(checkpoint.message).toContain('it took longer than 1000 ms');
  const isGone = async () => {
    const helper = Number(await lab.said('helper'));
    await until('its helper is gone', () => (processOf(helper)?.state ?? 'Z') === 'Z');
  };
  await isGone();
  expect(lab.images()).toEqual([]);
  await lab.driver().checkpoint({ key, pid });
  expect((await rejectionOf(driver.restore({ key }))).message).toContain(
    'it took longer than 1000 ms',
  );
  await isGone();
});

test('timeoutMs may be Infinity', async () => {
  using lab = new Lab();
  const driver = lab.driver({ timeoutMs: Infinity });
  expect(await driver.checkpoint({ key, pid })).toBe(true);
  expect(await lab.restored(await driver.restore({ key }))).toBe(`${key} ${pid}`);
});

test("commands have the host's environment and nothing to read", async () => {
  using lab = new Lab();
  process.env.EXEC_DRIVER_TEST = 'of the host';
  const script = 'cat; printf "%s\\n" "$EXEC_DRIVER_TEST" > "$1"';
  expect(
    await lab.driver({ checkpointCommand: sh(script, lab.path('env')) }).checkpoint({ key, pid }),
  ).toBe(true);
  delete process.env.EXEC_DRIVER_TEST;
  expect(await lab.said('env')).toBe('of the host');
});

test('what onError throws breaks nothing; without one, failures are warnings of the process', async () => {
  using lab = new Lab();
  const fails = { checkpointCommand: sh('echo why >&2; exit 1') };
  const throwing = () => {
    throw new Error('from onError');
  };
  for (const onError of [throwing, async () => throwing()]) {
    expect(await lab.driver({ ...fails, onError }).checkpoint({ key, pid })).toBe(false);
  }
  const warning = new Promise<Error>((resolve) => process.once('warning', resolve));
  expect(await lab.driver({ ...fails, onError: undefined }).checkpoint({ key, pid })).toBe(false);
  const { name, message } = await within('a warning', warning);
  expect(name).toBe('RuntimeCheckpointWarning');
  expect(message).toMatch(/^checkpointCommand for "app" ended with code 1 .*\nwhy$/);
});

for (const engine of engineNames) {
  test(`a ${engine} host stays for an operation and ends after it, whatever was restored`, async () => {
    using lab = await withImage();
    const stays = restoreAnd('echo RESTORED_PID=$pid; wait', '&1');
    const options = { checkpointCommand: SAVE, restoreCommand: stays, imageDir: lab.imageDir };
    const program = `
      import { execCheckpointDriver } from '@absolutejs/runtime';
      const driver = execCheckpointDriver(${JSON.stringify(options)});
      driver.restore({ key: 'app' }).then(({ pid }) => console.log(pid));`;
    const words = engine === 'Node' ? ['--input-type=module', '-e', program] : ['-e', program];
    const cwd = join(import.meta.dir, '..', '..');
    const host = Bun.spawn([engines[engine], ...words], { cwd, stdout: 'pipe' });
    const said = await within('the host ends', new Response(host.stdout).text());
    expect(await host.exited).toBe(0);
    expect(await lab.restored({ pid: Number(said) })).toBe(`${key} ${pid}`);
  });
}
