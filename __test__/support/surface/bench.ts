// A runtime with its processes and events, disposed when the test is over:
// `await using bench = setUp()`.
import { createRuntime, type Runtime, type RuntimeOptions } from '@absolutejs/runtime';
import { Fleet } from './fleet.ts';
import { Recorder } from './recorder.ts';
import { within } from './wait.ts';

/** A source that is never read, since `spawn` is the test's own. */
export const source = { kind: 'directory', root: 'tenants' } as const;

export class Bench implements AsyncDisposable {
  readonly fleet = new Fleet();
  readonly events = new Recorder();
  readonly runtime: Runtime;
  /** Run before the runtime is disposed: ends what the test left hanging. */
  readonly releases: (() => void)[] = [];

  constructor(options: Partial<RuntimeOptions>) {
    const base = {
      source,
      spawn: this.fleet.spawn,
      readiness: async () => true,
      ...this.events.callbacks,
    };
    this.runtime = createRuntime({ ...base, ...options });
  }

  /**
   * Resolves once every tenant has been ready for as long as its start took: before that, none is
   * evicted.
   */
  async tenuresEnd(): Promise<void> {
    const startsMs = this.events.all('ready').map(({ durationMs }) => durationMs);
    // The pool's clock shows whole milliseconds.
    await Bun.sleep(Math.max(1, ...startsMs) + 2);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const release of this.releases) release();
    this.fleet.release();
    // Only cleans up: `dispose` has tests of its own.
    await within(
      'the clean-up',
      this.runtime.dispose().catch(() => {}),
    );
  }
}

/** A runtime whose tenants are in memory and ready at once, unless `options` say otherwise. */
export function setUp(options: Partial<RuntimeOptions> = {}): Bench {
  return new Bench(options);
}

type Answer = ReturnType<typeof Promise.withResolvers<boolean>>;

/** A readiness check that the test answers, key by key. */
export function manualReadiness() {
  const calls: { key: string; port: number; startedAt: number }[] = [];
  const answers = new Map<string, Answer>();
  const answerOf = (key: string): Answer => {
    const answer = answers.get(key) ?? Promise.withResolvers<boolean>();
    answers.set(key, answer);
    return answer;
  };
  return {
    calls,
    readiness: (args: { key: string; port: number; startedAt: number }): Promise<boolean> => {
      calls.push(args);
      return answerOf(args.key).promise;
    },
    answer: (key: string, isReady: boolean): void => answerOf(key).resolve(isReady),
    fail: (key: string, error: unknown): void => answerOf(key).reject(error),
    /** The key's next process is asked about anew. */
    forget: (key: string): void => void answers.delete(key),
  };
}

/** Never settles. */
export const never = <T>(): Promise<T> => new Promise<T>(() => {});
