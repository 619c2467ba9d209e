// The deadlines of a runtime whose first tenant is adopted work although nothing was started.
import { expect, test } from 'bun:test';
import { createRuntime, type RuntimeTransitionEvent } from '@absolutejs/runtime';

test.each(['untouched', 'connections'] as const)(
  'a tenant adopted before anything was started is stopped when idle (%s)',
  async (idle) => {
    const ended = Promise.withResolvers<RuntimeTransitionEvent>();
    const { promise: exited, resolve: exit } = Promise.withResolvers<number>();
    await using runtime = createRuntime({
      source: { kind: 'directory', root: '.' },
      idleAfterMs: 20,
      sweepIntervalMs: 10,
      idle,
      onTransition: (event) => event.type === 'exit' && ended.resolve(event),
    });
    await runtime.adopt('a', { pid: process.pid, exited, kill: () => exit(0) }, { port: 1024 });
    expect(await ended.promise).toMatchObject({ key: 'a', reason: 'idle-killed' });
  },
);
