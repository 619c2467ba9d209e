/** Records all events of a runtime, in order, and checks the rules of their order. */
import type {
  RuntimeLogEvent,
  RuntimeMetricEvent,
  RuntimeOptions,
  RuntimeTransitionEvent,
} from '@absolutejs/runtime';
import { until } from './until.ts';

type Told =
  | { of: 'log'; event: RuntimeLogEvent }
  | { of: 'metric'; event: RuntimeMetricEvent }
  | { of: 'transition'; event: RuntimeTransitionEvent };
type TransitionOf<T extends RuntimeTransitionEvent['type']> = Extract<
  RuntimeTransitionEvent,
  { type: T }
>;

const begins = ({ type }: RuntimeTransitionEvent) =>
  type === 'spawn' || type === 'adopt' || type === 'restored';

export class Recorder {
  readonly told: Told[] = [];
  /** `replace` is called: a key may have two processes. */
  replaces = false;
  #listeners: ((event: RuntimeTransitionEvent | RuntimeLogEvent) => void)[] = [];

  /** To be spread into the options. */
  readonly callbacks: Required<Pick<RuntimeOptions, 'onLog' | 'onMetrics' | 'onTransition'>> = {
    onLog: (event) => {
      this.told.push({ of: 'log', event });
      this.#listeners.forEach((listener) => listener(event));
    },
    onMetrics: (event) => void this.told.push({ of: 'metric', event }),
    onTransition: (event) => {
      this.told.push({ of: 'transition', event });
      this.#listeners.forEach((listener) => listener(event));
    },
  };

  /** Called within the callback of the first event that fits. */
  once(fits: (event: RuntimeTransitionEvent | RuntimeLogEvent) => boolean, act: () => void): void {
    const listener = (event: RuntimeTransitionEvent | RuntimeLogEvent) => {
      if (!fits(event)) return;
      this.#listeners = this.#listeners.filter((other) => other !== listener);
      act();
    };
    this.#listeners.push(listener);
  }

  of<T extends RuntimeTransitionEvent['type']>(type: T, key?: string): TransitionOf<T>[] {
    return this.told.flatMap((told) => {
      if (told.of !== 'transition' || told.event.type !== type) return [];
      const event = told.event as TransitionOf<T>;
      return key === undefined || ('key' in event && event.key === key) ? [event] : [];
    });
  }

  lines(key?: string, stream?: 'stdout' | 'stderr'): string[] {
    return this.told.flatMap((told) =>
      told.of === 'log' &&
      (key === undefined || told.event.key === key) &&
      (stream === undefined || told.event.stream === stream)
        ? [told.event.line]
        : [],
    );
  }

  observations(key?: string) {
    return this.told.flatMap((told) =>
      told.of === 'metric' &&
      told.event.type === 'observation' &&
      (key === undefined || told.event.key === key)
        ? [told.event]
        : [],
    );
  }

  exit(key: string, count = 1) {
    return until(`exit ${count} of ${key}`, () => this.of('exit', key)[count - 1]);
  }

  line(key: string, text: string) {
    return until(`${key} prints ${text}`, () => this.lines(key).includes(text));
  }

  /**
   * Per key: a beginning (spawn, adopt, or restored), then other events with that pid, then its
   * exit, then the next beginning; with `replaces` a second one may have begun before. With `all`
   * every beginning must have had its exit.
   */
  assertOrder({ all = true } = {}): void {
    const live = new Map<string, number[]>();
    this.told.forEach(({ of, event }, index) => {
      if (!('pid' in event)) return;
      const { key, pid } = event;
      const pids = live.get(key) ?? [];
      const what = `${of} ${index} of ${key}: ${JSON.stringify(event).slice(0, 200)}`;
      if (of === 'transition' && begins(event)) {
        // Only `replace` starts a second process.
        if (pids.length > (this.replaces ? 1 : 0))
          throw new Error(`a ${event.type} before the exit of ${pids}; ${what}`);
        live.set(key, [...pids, pid]);
        return;
      }
      if (!pids.includes(pid)) throw new Error(`not about a live process; ${what}`);
      if (of !== 'transition' || event.type !== 'exit') return;
      if (pids.length > 1)
        live.set(
          key,
          pids.filter((other) => other !== pid),
        );
      else live.delete(key);
    });
    if (all && live.size > 0) throw new Error(`no exit for ${[...live].join('; ')}`);
  }
}
