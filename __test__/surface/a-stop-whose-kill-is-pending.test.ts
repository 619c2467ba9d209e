// A stop is given up a minute after the last call of a `kill` that does not settle; the error says
// which call that is. Tests, without the minute, the parts that record the call and make the
// message.
import { expect, test } from 'bun:test';
import { failureError } from '../../lib/errors.js';
import { createExternal } from '../../lib/tenant/external.js';
import { failureOf } from '../../lib/tenant/refusals.js';
import { createRun } from '../../lib/tenant/tenants.js';

const never = () => new Promise<void>(() => {});
const native = { stopAsked() {}, stopAnswered() {}, stopRefused() {} };
const core = { native, settings: {}, wake() {}, failureError } as any;
const MESSAGE = 'Tenant "a" could not be stopped: its process did not exit after kill("SIGKILL")';

/** The error that callers of a timed-out stop get, for a process with this `kill`. */
async function timedOut(kill: (signal?: string) => void | Promise<void>) {
  const run = createRun(1, 'a', 0, 0);
  run.process = { pid: 1, exited: never(), kill } as any;
  const external = createExternal(core);
  for (const force of [false, true]) void external.askKill(run, force);
  await Promise.resolve();
  return () => {
    const failure = {
      kind: 'stopTimedOut',
      exitCode: null,
      signal: undefined,
      uptimeMs: 0,
      text: '',
    } as const;
    return (failureOf(core, run, 'a', { ...failure }) as any).message;
  };
}

test('the calls that are pending are named', async () => {
  expect((await timedOut(never))()).toBe(
    `${MESSAGE}; still pending: its own kill() and kill("SIGKILL")`,
  );
  const forcedOnly = await timedOut((signal) => (signal === undefined ? undefined : never()));
  expect(forcedOnly()).toBe(`${MESSAGE}; still pending: its own kill("SIGKILL")`);
});

test('a call that has settled is not named, also after it was named before', async () => {
  expect((await timedOut(() => {}))()).toBe(MESSAGE);
  const settle: (() => void)[] = [];
  const message = await timedOut(() => new Promise((resolve) => void settle.push(resolve)));
  expect(message()).toEndWith('kill() and kill("SIGKILL")');
  for (const resolve of settle) resolve();
  await Promise.resolve();
  expect(message()).toBe(MESSAGE);
});
