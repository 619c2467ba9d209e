// `shouldIdleKill`: when it is called, with what, and what each answer means.
import { expect, test } from 'bun:test';
import type { ExitReason, RuntimeOptions, Tenant } from '@absolutejs/runtime';
import { type Bench, setUp } from '../support/surface/bench.ts';
import { aFewTurns, rejectionOf, within } from '../support/surface/wait.ts';

type Question = Parameters<NonNullable<RuntimeOptions['shouldIdleKill']>>[0];
type Answer = ReturnType<NonNullable<RuntimeOptions['shouldIdleKill']>>;

/** Records the calls; `answer` may be changed at any time. */
class Asked {
  readonly questions: Question[] = [];
  readonly at: number[] = [];
  answer: (question: Question) => unknown;
  #watchers = new Set<() => void>();

  constructor(answer: (question: Question) => unknown) {
    this.answer = answer;
  }

  readonly shouldIdleKill = (question: Question): Answer => {
    this.questions.push(question);
    this.at.push(performance.now());
    for (const watcher of this.#watchers) watcher();
    return this.answer(question) as Answer;
  };

  async times(count: number): Promise<Question> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watcher = (): void => void (this.questions.length >= count && resolve());
    this.#watchers.add(watcher);
    watcher();
    await within(`question ${count}`, promise).finally(() => this.#watchers.delete(watcher));
    return this.questions[count - 1]!;
  }
}

const idle = { idleAfterMs: 20, sweepIntervalMs: 10 };

/** Whether the key still has the same tenant, and no stop of it has begun. */
async function isKept({ runtime, fleet, events }: Bench, tenant: Tenant): Promise<boolean> {
  const { kills } = fleet.the(tenant.key);
  const before = events.all('exit').length;
  return kills.length === 0 && before === 0 && (await runtime.ensure(tenant.key)) === tenant;
}

test('asked once it is idle, with how long, its key and the very tenant; true stops it', async () => {
  const asked = new Asked(() => true);
  await using bench = setUp({ ...idle, shouldIdleKill: asked.shouldIdleKill });
  const tenant = await bench.runtime.ensure('a');
  const exit = await bench.events.seen('exit', 'a');
  const [question] = asked.questions;
  expect(Object.keys(question!).sort()).toEqual(['idleMs', 'key', 'tenant']);
  expect(question!.key).toBe('a');
  expect(question!.tenant).toBe(tenant);
  expect(question!.idleMs).toBeGreaterThanOrEqual(idle.idleAfterMs);
  const [idleKill] = bench.events.all('idle-kill');
  expect(idleKill!.idleMs).toBeGreaterThanOrEqual(question!.idleMs);
  expect(bench.events.story.slice(3)).toEqual(['idle-kill a', 'exit a']);
  expect(exit.reason).toBe('idle-killed');
  expect(asked.questions).toHaveLength(1);
});

test('a promise of true stops it, and so does what is merely like a promise', async () => {
  for (const answer of [
    Promise.resolve(true),
    { then: (yes: (stop: boolean) => void) => yes(true) },
  ]) {
    await using bench = setUp({ ...idle, shouldIdleKill: () => answer as Promise<boolean> });
    await bench.runtime.ensure('a');
    expect((await bench.events.seen('exit', 'a')).reason).toBe('idle-killed');
  }
});

const REFUSALS: [string, () => unknown][] = [
  ['false', () => false],
  ['a promise of false', async () => false],
  ['nothing', () => {}],
  ['null', () => null],
  ['something that is merely truthy', () => 1],
  ['a promise of something that is merely truthy', async () => 'yes'],
  ['an object', () => ({})],
  ['a list', () => [true]],
  ['the boxed true', () => Object(true)],
  [
    'a throw',
    () => {
      throw new Error('who knows');
    },
  ],
  ['a rejection', () => Promise.reject(new Error('who knows'))],
  ['a rejection with nothing', () => Promise.reject(undefined)],
  [
    'a thenable that throws',
    () => ({
      then() {
        throw new Error('not now');
      },
    }),
  ],
  [
    'a thenable that rejects',
    () => ({ then: (_: unknown, no: (error: Error) => void) => no(new Error()) }),
  ],
];

for (const [name, answer] of REFUSALS) {
  test(`${name} keeps it, and it is asked again until the answer is true`, async () => {
    const asked = new Asked(answer);
    await using bench = setUp({ ...idle, shouldIdleKill: asked.shouldIdleKill });
    const tenant = await bench.runtime.ensure('a');
    await asked.times(3);
    expect(bench.fleet.the('a').kills).toEqual([]);
    expect(bench.events.transitions.map(({ type }) => type)).toEqual(['spawn', 'ready']);
    expect(asked.questions.every((question) => question.tenant === tenant)).toBeTrue();
    asked.answer = () => true;
    await bench.events.seen('exit', 'a');
    expect(bench.events.all('idle-kill')).toHaveLength(1);
  });
}

test('a kept tenant is asked about a sweep later, not sooner', async () => {
  const sweepIntervalMs = 60;
  const asked = new Asked(() => false);
  await using bench = setUp({
    idleAfterMs: 5,
    sweepIntervalMs,
    shouldIdleKill: asked.shouldIdleKill,
  });
  await bench.runtime.ensure('a');
  await asked.times(4);
  const pauses = asked.at.slice(1).map((at, index) => at - asked.at[index]!);
  // Rust counts whole milliseconds, so a pause may seem to be one shorter.
  for (const pause of pauses) expect(pause).toBeGreaterThanOrEqual(sweepIntervalMs - 2);
  const idleMs = asked.questions.map((question) => question.idleMs);
  expect(idleMs.toSorted((a, b) => a - b)).toEqual(idleMs);
});

test('a kept tenant that is touched is left alone for idleAfterMs', async () => {
  const idleAfterMs = 150;
  const asked = new Asked(() => false);
  await using bench = setUp({
    idleAfterMs,
    sweepIntervalMs: 1,
    shouldIdleKill: asked.shouldIdleKill,
  });
  await bench.runtime.ensure('a');
  await asked.times(1);
  await aFewTurns();
  const before = asked.questions.length;
  bench.runtime.touch('a');
  const touchedAt = performance.now();
  // One question may have been on its way when it was touched.
  const { idleMs } = await asked.times(before + 2);
  expect(asked.at[before + 1]! - touchedAt).toBeGreaterThanOrEqual(idleAfterMs - 2);
  expect(idleMs).toBeGreaterThanOrEqual(idleAfterMs);
});

test('touched while it is being asked: the answer true no longer stops it', async () => {
  for (const act of ['touch', 'ensure'] as const) {
    const answer = Promise.withResolvers<boolean>();
    const asked = new Asked(() => answer.promise);
    const idleAfterMs = 200;
    await using bench = setUp({
      idleAfterMs,
      sweepIntervalMs: 1,
      shouldIdleKill: asked.shouldIdleKill,
    });
    const tenant = await bench.runtime.ensure('a');
    await asked.times(1);
    await bench.runtime[act]('a');
    const { lastTouchedAt } = tenant;
    asked.answer = () => true;
    answer.resolve(true);
    await aFewTurns();
    const stoppedAtOnce = bench.fleet.the('a').kills.length > 0;
    await bench.events.seen('exit', 'a');
    // A machine that stood still for idleAfterMs in between would be a reason to stop it, too.
    expect(stoppedAtOnce && Date.now() - lastTouchedAt < idleAfterMs).toBeFalse();
    expect(bench.events.all('idle-kill')[0]!.idleMs).toBeGreaterThanOrEqual(idleAfterMs);
    expect(asked.questions.length).toBeGreaterThan(1);
  }
});

test('touched by the question itself: it stays', async () => {
  const asked = new Asked(({ key }) => (bench.runtime.touch(key), true));
  await using bench = setUp({
    idleAfterMs: 40,
    sweepIntervalMs: 1,
    shouldIdleKill: asked.shouldIdleKill,
  });
  const tenant = await bench.runtime.ensure('a');
  await asked.times(3);
  expect(await isKept(bench, tenant)).toBeTrue();
});

test('an unanswered question keeps the tenant, and no other is asked meanwhile', async () => {
  const asked = new Asked(() => new Promise(() => {}));
  await using bench = setUp({
    idleAfterMs: 5,
    sweepIntervalMs: 1,
    shouldIdleKill: asked.shouldIdleKill,
  });
  const tenant = await bench.runtime.ensure('a');
  await asked.times(1);
  await Bun.sleep(60);
  expect(asked.questions).toHaveLength(1);
  expect(await isKept(bench, tenant)).toBeTrue();
  expect(bench.runtime.stats().running).toBe(1);
  await within('dispose', bench.runtime.dispose());
  expect(bench.events.all('exit')[0]!.reason).toBe('disposed');
});

for (const [name, stop] of [
  ['killed', (bench) => bench.runtime.kill('a')],
  ['evicted', (bench) => bench.runtime.ensure('b')],
  [
    'ended by itself',
    async (bench) => void (bench.fleet.the('a').exit(0), await bench.events.seen('exit', 'a')),
  ],
] as [string, (bench: Bench) => Promise<unknown>][]) {
  test(`${name} while it is pending: the late answer is ignored`, async () => {
    const answers: ReturnType<typeof Promise.withResolvers<boolean>>[] = [];
    const asked = new Asked(({ key }) => {
      if (key !== 'a') return false;
      answers.push(Promise.withResolvers());
      return answers.at(-1)!.promise;
    });
    await using bench = setUp({ ...idle, shouldIdleKill: asked.shouldIdleKill, maxConcurrent: 1 });
    await bench.runtime.ensure('a');
    await asked.times(1);
    await stop(bench);
    await bench.events.seen('exit', 'a');
    answers[0]!.resolve(true);
    await aFewTurns();
    expect(bench.events.all('idle-kill')).toEqual([]);
    expect(bench.events.all('exit', 'a')).toHaveLength(1);
    const fresh = await bench.runtime.ensure('a');
    await bench.events.seen('ready', 'a', 2);
    expect(fresh.pid).toBe(bench.fleet.the('a').pid);
  });
}

for (const how of ['restart', 'kill and ensure'] as const) {
  test(`${how} while it is pending: no second call beside the first, and its answer is ignored`, async () => {
    let open = 0;
    let most = 0;
    const first = Promise.withResolvers<boolean>();
    const asked = new Asked(async () => {
      most = Math.max(most, ++open);
      const answer = asked.questions.length === 1 ? await first.promise : false;
      open -= 1;
      return answer;
    });
    await using bench = setUp({
      idleAfterMs: 5,
      sweepIntervalMs: 5,
      shouldIdleKill: asked.shouldIdleKill,
    });
    const old = await bench.runtime.ensure('a');
    await asked.times(1);
    if (how === 'kill and ensure') await bench.runtime.kill('a');
    const fresh =
      how === 'restart' ? await bench.runtime.restart('a') : await bench.runtime.ensure('a');
    await Bun.sleep(40);
    expect(asked.questions).toHaveLength(1);
    first.resolve(true);
    const second = await asked.times(2);
    expect(most).toBe(1);
    expect(asked.questions[0]!.tenant).toBe(old);
    expect(second.tenant).toBe(fresh);
    expect(bench.events.all('idle-kill')).toEqual([]);
    expect(await bench.runtime.ensure('a')).toBe(fresh);
  });
}

test('each key is asked about by itself; a slow answer for one delays no other', async () => {
  const keys = Array.from({ length: 50 }, (_, index) => `t${index}`);
  const asked = new Asked(({ key }) => (key === 't0' ? new Promise(() => {}) : true));
  await using bench = setUp({ ...idle, shouldIdleKill: asked.shouldIdleKill });
  await Promise.all(keys.map((key) => bench.runtime.ensure(key)));
  await bench.events.until('all but one are gone', () => bench.events.all('exit').length === 49);
  expect(asked.questions.map(({ key }) => key).sort()).toEqual(keys.toSorted());
  expect(bench.events.all('exit', 't0')).toEqual([]);
});

for (const [name, reason, act] of [
  ['kill', 'killed', (bench) => bench.runtime.kill('a')],
  ['restart', 'restarted', (bench) => bench.runtime.restart('a')],
  ['dispose', 'disposed', (bench) => bench.runtime.dispose()],
  ['drain', 'idle-killed', async (bench) => bench.runtime.drain()],
] as [string, ExitReason, (bench: Bench) => Promise<unknown>][]) {
  test(`${name} may be called by the question itself`, async () => {
    let outcome: Promise<unknown> | undefined;
    const asked = new Asked(() => {
      outcome ??= act(bench);
      return true;
    });
    await using bench = setUp({ ...idle, shouldIdleKill: asked.shouldIdleKill });
    await bench.runtime.ensure('a');
    await asked.times(1);
    await within(name, outcome!);
    expect((await bench.events.seen('exit', 'a')).reason).toBe(reason);
  });
}

test('it is asked while draining, too', async () => {
  const asked = new Asked(() => true);
  await using bench = setUp({ ...idle, shouldIdleKill: asked.shouldIdleKill });
  await bench.runtime.ensure('a');
  bench.runtime.drain();
  expect((await bench.events.seen('exit', 'a')).reason).toBe('idle-killed');
  expect(asked.questions).toHaveLength(1);
});

test('after dispose it is not called, and an answer that comes then is ignored', async () => {
  const answer = Promise.withResolvers<boolean>();
  const asked = new Asked(() => answer.promise);
  await using bench = setUp({ ...idle, shouldIdleKill: asked.shouldIdleKill });
  await bench.runtime.ensure('a');
  await asked.times(1);
  await within('dispose', bench.runtime.dispose());
  answer.resolve(true);
  await Bun.sleep(30);
  expect(asked.questions).toHaveLength(1);
  expect(bench.events.story.at(-1)).toBe('exit a');
  expect((await rejectionOf(bench.runtime.ensure('a'))).code).toBe('ERR_RUNTIME_DISPOSED');
});

test('an idle stop that is refused by the process is asked about anew', async () => {
  const asked = new Asked(() => true);
  await using bench = setUp({
    idleAfterMs: 5,
    sweepIntervalMs: 10,
    shouldIdleKill: asked.shouldIdleKill,
  });
  await bench.runtime.ensure('a');
  const process = bench.fleet.the('a');
  process.onKill = () => {
    if (process.kills.length < 3) throw new Error('not yet');
    process.exit(0);
  };
  await bench.events.seen('exit', 'a');
  expect(asked.questions).toHaveLength(3);
  expect(bench.events.all('idle-kill')).toHaveLength(3);
});

test('without idle stops it is not called', async () => {
  const asked = new Asked(() => true);
  await using bench = setUp({
    idleAfterMs: 0,
    sweepIntervalMs: 1,
    shouldIdleKill: asked.shouldIdleKill,
  });
  await bench.runtime.ensure('a');
  await Bun.sleep(40);
  expect(asked.questions).toEqual([]);
});
