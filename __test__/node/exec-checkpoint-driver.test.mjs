import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { execCheckpointDriver } from '@absolutejs/runtime';
import { rejectionOf } from '../support/surface/node.mjs';

const pid = process.ppid;

/**
 * A driver with a new image directory, and the errors that it reports. Removed after the test.
 * @param {import('node:test').TestContext} context
 * @param {Partial<import('@absolutejs/runtime').ExecCheckpointDriverOptions>} options
 */
function createDriver(context, options) {
  const directory = mkdtempSync(join(tmpdir(), 'runtime-exec-node-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const imageDir = join(directory, 'images');
  /** @type {string[]} */
  const errors = [];
  const driver = execCheckpointDriver({
    checkpointCommand: sh('printf %s "$1 $2" > "$3/state"', '{key}', '{pid}', '{dir}'),
    restoreCommand: sh(
      'setsid sleep 1000 & pid=$!; cat "$1/state"; echo; echo RESTORED_PID=$pid',
      '{dir}',
    ),
    imageDir,
    onError: ({ message }) => errors.push(message),
    ...options,
  });
  return { driver, errors, images: () => readdirSync(imageDir) };
}

/** A command that runs a shell script. @param {string} script @param {string[]} words */
const sh = (script, ...words) => ['sh', '-ec', script, 'sh', ...words];

test('a process is saved, restored and dropped', async (context) => {
  const { driver, errors, images } = createDriver(context, {});
  assert.equal(await driver.restore({ key: 'org/app' }), null);
  assert.equal(await driver.checkpoint({ key: 'org/app', pid }), true);
  assert.equal(await driver.has('org/app'), true);
  assert.equal(await driver.has('org-app'), false);
  const restored = await driver.restore({ key: 'org/app' });
  assert.ok(restored && restored.pid > 1);
  process.kill(restored.pid, 'SIGKILL');
  await driver.drop('org/app');
  assert.equal(await driver.has('org/app'), false);
  assert.deepEqual(images(), []);
  assert.deepEqual(errors, []);
});

test('a restore command may run for as long as the process it restored', async (context) => {
  const restoreCommand = sh('sleep 1000 & echo RESTORED_PID=$!; wait');
  const { driver } = createDriver(context, { restoreCommand });
  await driver.checkpoint({ key: 'app', pid });
  const restored = await driver.restore({ key: 'app' });
  assert.ok(restored);
  process.kill(restored.pid, 'SIGKILL');
});

test('commands that fail, are not there, take too long or name no tenant', async (context) => {
  const failing = createDriver(context, { checkpointCommand: sh('echo why >&2; exit 7') });
  assert.equal(await failing.driver.checkpoint({ key: 'app', pid }), false);
  assert.match(failing.errors.join(), /^checkpointCommand for "app" ended with code 7 .*\nwhy$/);
  assert.deepEqual(failing.images(), []);

  const absent = createDriver(context, { checkpointCommand: ['no-such-program'] });
  const error = await rejectionOf(absent.driver.checkpoint({ key: 'app', pid }));
  assert.equal(error.code, 'ERR_RUNTIME_CHECKPOINT');
  assert.match(error.message, /could not be started: .*no-such-program/);

  const slow = createDriver(context, { checkpointCommand: ['sleep', '1000'], timeoutMs: 100 });
  assert.match(
    (await rejectionOf(slow.driver.checkpoint({ key: 'app', pid }))).message,
    /longer than 100 ms/,
  );

  for (const value of ['0', '1', '-7', '', process.pid]) {
    const odd = createDriver(context, { restoreCommand: ['echo', `RESTORED_PID=${value}`] });
    await odd.driver.checkpoint({ key: 'app', pid });
    assert.match(
      (await rejectionOf(odd.driver.restore({ key: 'app' }))).message,
      /printed an impossible/,
    );
  }
});
