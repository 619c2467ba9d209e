// Records all events of a runtime, of all callbacks, in their order.
import type {
  RuntimeLogEvent,
  RuntimeMetricEvent,
  RuntimeOptions,
  RuntimeTransitionEvent,
} from '@absolutejs/runtime';
import { within } from './wait.ts';

type Transition<Type> = Extract<RuntimeTransitionEvent, { type: Type }>;
type TransitionType = RuntimeTransitionEvent['type'];

export class Recorder {
  readonly transitions: RuntimeTransitionEvent[] = [];
  readonly metrics: RuntimeMetricEvent[] = [];
  readonly logs: RuntimeLogEvent[] = [];
  /** All three together, each in a word or two: `spawn a`, `metric spawn a`, `log a hello`. */
  readonly story: string[] = [];
  #watchers = new Set<() => void>();

  readonly callbacks = {
    onTransition: (event) => {
      this.transitions.push(event);
      this.#note('key' in event ? `${event.type} ${event.key}` : event.type);
    },
    onMetrics: (event) => {
      this.metrics.push(event);
      this.#note(`metric ${event.type} ${event.key}`);
    },
    onLog: (event) => {
      this.logs.push(event);
      this.#note(`log ${event.key} ${event.line}`);
    },
  } satisfies Partial<RuntimeOptions>;

  /** The transitions of one type, of one key if one is given. */
  all<Type extends TransitionType>(type: Type, key?: string): Transition<Type>[] {
    return this.transitions.filter(
      (event): event is Transition<Type> =>
        event.type === type && (key === undefined || ('key' in event && event.key === key)),
    );
  }

  /** Resolves with the `count`th such transition, now or later. */
  async seen<Type extends TransitionType>(
    type: Type,
    key?: string,
    count = 1,
  ): Promise<Transition<Type>> {
    await this.until(`${type} of ${key}`, () => this.all(type, key).length >= count);
    return this.all(type, key)[count - 1]!;
  }

  /** Resolves as soon as `condition` holds, which is checked after each event. */
  async until(what: string, condition: () => boolean): Promise<void> {
    if (condition()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const watcher = (): void => void (condition() && resolve());
    this.#watchers.add(watcher);
    try {
      await within(what, promise);
    } finally {
      this.#watchers.delete(watcher);
    }
  }

  #note(words: string): void {
    this.story.push(words);
    for (const watcher of this.#watchers) watcher();
  }
}
