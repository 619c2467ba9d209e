// `adopt` into a full pool waits for room. Events of the process, the key and the pool meanwhile.
import { expect, test } from 'bun:test';
import { setUp } from '../support/surface/bench.ts';
import { handedOver, ignoresKill } from '../support/surface/fleet.ts';
import { isPending, rejectionOf } from '../support/surface/wait.ts';

test('with a full pool it waits until the evicted tenant has ended', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const adopted = bench.runtime.adopt('b', handedOver(), { port: 4000 });
  await bench.events.seen('lru-evict', 'a');
  expect(await isPending(adopted)).toBe(true);
  expect(bench.runtime.inspect('b')).toMatchObject({ state: 'queued', pid: null });
  expect(bench.runtime.stats()).toMatchObject({ total: 1 });
  bench.fleet.the('a').exit(0);
  expect((await adopted).key).toBe('b');
  expect(bench.events.story.slice(-3)).toEqual(['lru-evict a', 'exit a', 'adopt b']);
});

test('a crowd of adoptions never exceeds maxConcurrent', async () => {
  const most: number[] = [];
  await using bench = setUp({
    maxConcurrent: 3,
    onTransition(event) {
      bench.events.callbacks.onTransition(event);
      most.push(bench.runtime.stats().total);
    },
  });
  const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
  const processes = keys.map(() => handedOver());
  const tenants = await Promise.all(
    keys.map((key, index) => bench.runtime.adopt(key, processes[index]!, { port: 4000 + index })),
  );
  expect(tenants.map(({ key }) => key)).toEqual(keys);
  expect(Math.max(...most)).toBe(3);
  expect(bench.events.all('adopt').map(({ key }) => key)).toEqual(keys);
  expect(bench.events.all('lru-evict').length).toBe(17);
  const left = processes.filter(({ kills }) => kills.length === 0);
  expect(left.length).toBe(3);
});

test('ensure joins an adoption that waits for room', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const adopted = bench.runtime.adopt('b', handedOver(), { port: 4000 });
  const joined = bench.runtime.ensure('b');
  bench.fleet.the('a').exit(0);
  expect(await joined).toBe(await adopted);
  expect(bench.fleet.of('b')).toEqual([]);
});

test('restart of an adoption that waits for room: the process is adopted, then replaced', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const process = handedOver();
  const adopted = bench.runtime.adopt('b', process, { port: 4000 });
  const restarted = bench.runtime.restart('b');
  bench.fleet.the('a').exit(0);
  expect((await adopted).pid).toBe(process.pid);
  expect((await restarted).pid).toBe(bench.fleet.the('b').pid);
  expect(bench.events.all('exit', 'b')).toMatchObject([{ pid: process.pid, reason: 'restarted' }]);
});

test('a process that ends while it waits for room is refused', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const process = handedOver();
  const adopted = bench.runtime.adopt('b', process, { port: 4000 });
  process.exit(0);
  const error = await rejectionOf(adopted);
  expect([error.code, error.message]).toEqual([
    'ERR_RUNTIME_SPAWN',
    'Tenant "b" cannot adopt the process: it has ended',
  ]);
  expect(bench.runtime.inspect('b')).toBeNull();
  bench.fleet.the('a').exit(0);
  await bench.events.seen('exit', 'a');
  expect(bench.events.all('adopt')).toEqual([]);
  expect((await bench.runtime.ensure('b')).pid).toBe(bench.fleet.the('b').pid);
});

test('callers that joined an adoption that fails get a process of the pool’s own', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const process = handedOver();
  const adopted = bench.runtime.adopt('b', process, { port: 4000 });
  const joined = bench.runtime.ensure('b');
  process.exit(0);
  expect((await rejectionOf(adopted)).code).toBe('ERR_RUNTIME_SPAWN');
  bench.fleet.the('a').exit(0);
  expect((await joined).pid).toBe(bench.fleet.the('b').pid);
  expect(bench.events.all('adopt')).toEqual([]);
});

test('a process that ends in the moment of its adoption has its events like any other', async () => {
  // Several at once, so that the pool is ahead of the events that JavaScript has had.
  await using bench = setUp();
  const keys = Array.from({ length: 50 }, (_, index) => `k${index}`);
  const settled = await Promise.allSettled(
    keys.map((key) => {
      const process = handedOver();
      const adopted = bench.runtime.adopt(key, process, { port: 4000 });
      process.exit(0);
      return adopted;
    }),
  );
  expect(settled.map(({ status }) => status)).toEqual(keys.map(() => 'fulfilled'));
  await bench.events.until('every exit', () => bench.events.all('exit').length === keys.length);
  for (const key of keys) {
    expect(bench.events.story.filter((words) => words.endsWith(` ${key}`))).toEqual([
      `adopt ${key}`,
      `exit ${key}`,
    ]);
  }
  expect(bench.runtime.stats().total).toBe(0);
});

test('a process whose exited has already resolved is adopted, and its exit follows', async () => {
  await using bench = setUp();
  const process = handedOver();
  process.exit(0);
  await process.exited;
  await bench.runtime.adopt('a', process, { port: 4000 }).catch(() => {});
  await bench.events.seen('exit', 'a');
  expect(bench.events.story).toEqual(['adopt a', 'exit a']);
});

test('an exit that comes before the adopt event is delivered after it', async () => {
  await using bench = setUp({
    onTransition(event) {
      bench.events.callbacks.onTransition(event);
      // Longer than a turn may take, so that the following events wait.
      const until = performance.now() + 6;
      while (performance.now() < until);
    },
  });
  const crowd = Array.from({ length: 5 }, (_, index) => bench.runtime.ensure(`k${index}`));
  await bench.events.seen('spawn', 'k0');
  const process = handedOver();
  const adopted = bench.runtime.adopt('late', process, { port: 4000 });
  process.exit(0);
  await process.exited;
  expect(bench.events.all('adopt')).toEqual([]);
  expect((await adopted).pid).toBe(process.pid);
  expect((await bench.events.seen('exit', 'late')).reason).toBe('exited-clean');
  expect(bench.events.story.filter((words) => words.endsWith(' late'))).toEqual([
    'adopt late',
    'exit late',
  ]);
  await Promise.all(crowd);
});

test('kill cancels an adoption that waits for room, and leaves the process as it is', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const process = handedOver();
  const adopted = bench.runtime.adopt('b', process, { port: 4000 });
  await bench.runtime.kill('b');
  expect(await rejectionOf(adopted)).toMatchObject({
    code: 'ERR_RUNTIME_EXITED_EARLY',
    key: 'b',
    exitCode: null,
    message: expect.stringContaining('it was stopped before it was started'),
  });
  expect(process.kills).toEqual([]);
  bench.fleet.the('a').exit(0);
  await bench.events.seen('exit', 'a');
  expect(bench.events.all('adopt')).toEqual([]);
});

test('while draining, adoptions that wait for room and adopted tenants go on', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  await bench.runtime.ensure('a');
  bench.fleet.the('a').onKill = ignoresKill;
  const adopted = bench.runtime.adopt('b', handedOver(), { port: 4000 });
  bench.runtime.drain();
  bench.fleet.the('a').exit(0);
  const tenant = await adopted;
  expect(await bench.runtime.ensure('b')).toBe(tenant);
});

test('dispose stops adopted processes, and rejects waiting adoptions, whose processes are left as they are', async () => {
  await using bench = setUp({ maxConcurrent: 1 });
  const [first, second] = [handedOver(), handedOver()];
  await bench.runtime.adopt('a', first, { port: 4000 });
  const waiting = bench.runtime.adopt('b', second, { port: 4001 });
  const disposed = bench.runtime.dispose();
  expect((await rejectionOf(waiting)).code).toBe('ERR_RUNTIME_DISPOSED');
  await disposed;
  expect(first.kills.length).toBe(1);
  expect(second.kills).toEqual([]);
});
