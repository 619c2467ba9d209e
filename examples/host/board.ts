// The data of the live page, collected from the runtime's events, as any host can do.
import type {
  ExitReason,
  RuntimeLogEvent,
  RuntimeMetricEvent,
  RuntimeTransitionEvent,
} from '@absolutejs/runtime';
import type { TenantInfo } from './tenants.ts';

const LINES_KEPT = 8;
/** A line may be 64 KiB long; the page needs no more than this of it. */
const LINE_CHARACTERS_KEPT = 400;
const TRANSITIONS_KEPT = 40;

export type TenantState =
  'asleep' | 'starting' | 'awake' | 'stopping' | 'did not start' | 'backing off';

export interface TenantRow extends TenantInfo {
  state: TenantState;
  pid: number | null;
  port: number | null;
  /** Asked of the runtime, as every request changes it. */
  lastTouchedAt: number | null;
  cpuMs: number | null;
  /** Share of one core, between the last two observations. */
  cpuPercent: number | null;
  rssBytes: number | null;
  retryAt: number | null;
  lines: { stream: 'stdout' | 'stderr'; line: string }[];
}

export interface TransitionRow {
  at: number;
  event: RuntimeTransitionEvent;
}

export class Board {
  readonly transitions: TransitionRow[] = [];
  readonly #rows = new Map<string, TenantRow>();
  readonly #observedAt = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  constructor(tenants: TenantInfo[]) {
    for (const tenant of tenants) this.#rows.set(tenant.name, { ...tenant, ...ASLEEP, lines: [] });
  }

  /** Calls `listener` after every change. Returns a function that removes it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  rows(lastTouchedAt: (name: string) => number | null = () => null): TenantRow[] {
    return [...this.#rows.values()].map((row) => ({
      ...row,
      lastTouchedAt: row.pid === null ? null : lastTouchedAt(row.name),
    }));
  }

  row(name: string): TenantRow | undefined {
    return this.#rows.get(name);
  }

  readonly onLog = ({ key, stream, line }: RuntimeLogEvent): void => {
    const lines = this.#rows.get(key)?.lines;
    lines?.push({ stream, line: line.slice(0, LINE_CHARACTERS_KEPT) });
    if (lines && lines.length > LINES_KEPT) lines.shift();
    this.#changed();
  };

  readonly onMetrics = (event: RuntimeMetricEvent): void => {
    const row = this.#rows.get(event.key);
    if (event.type !== 'observation' || !row) return;
    const { cpuMs, rssBytes, at } = event;
    const elapsedMs = at - (this.#observedAt.get(event.key) ?? NaN);
    const usedMs = cpuMs - (row.cpuMs ?? 0);
    row.cpuPercent = elapsedMs > 0 ? (100 * usedMs) / elapsedMs : null;
    this.#observedAt.set(event.key, at);
    Object.assign(row, { cpuMs, rssBytes });
    this.#changed();
  };

  readonly onTransition = (event: RuntimeTransitionEvent): void => {
    this.transitions.push({ at: Date.now(), event });
    if (this.transitions.length > TRANSITIONS_KEPT) this.transitions.shift();
    const row = 'key' in event ? this.#rows.get(event.key) : undefined;
    if (row) this.#apply(row, event);
    this.#changed();
  };

  #apply(row: TenantRow, event: RuntimeTransitionEvent): void {
    switch (event.type) {
      case 'spawn':
        row.lines = [];
        Object.assign(row, ASLEEP, { state: 'starting', pid: event.pid, port: event.port });
        break;
      case 'ready':
        row.state = 'awake';
        break;
      case 'idle-kill':
      case 'lru-evict':
        row.state = 'stopping';
        break;
      case 'exit':
        Object.assign(row, ASLEEP, {
          state:
            FAILED_STARTS.has(event.reason) && row.state === 'starting'
              ? 'did not start'
              : 'asleep',
        });
        this.#observedAt.delete(row.name);
        break;
      case 'backoff':
        row.state = 'backing off';
        row.retryAt = Date.now() + event.retryAfterMs;
        break;
    }
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

const FAILED_STARTS = new Set<ExitReason>(['crashed', 'exited-clean', 'readiness-timeout']);

const ASLEEP = {
  state: 'asleep' as TenantState,
  pid: null,
  port: null,
  lastTouchedAt: null,
  cpuMs: null,
  cpuPercent: null,
  rssBytes: null,
  retryAt: null,
};
