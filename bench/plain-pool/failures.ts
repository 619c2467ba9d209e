// Failed starts in a row, per key, and what they mean for the next `ensure`.
import type { SpawnBackoff } from '@absolutejs/runtime';

interface Failure {
  attempt: number;
  retryAt: number;
  lastError: string;
}

interface Refusal {
  error: Error;
  backoff?: { attempt: number; retryAfterMs: number };
}

export class Failures {
  readonly #failures = new Map<string, Failure>();
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #maxFailures: number;

  constructor({ baseMs = 1_000, maxMs = 60_000, maxFailures = 10 }: SpawnBackoff = {}) {
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
    this.#maxFailures = maxFailures;
  }

  note(key: string, error: unknown): void {
    const attempt = (this.#failures.get(key)?.attempt ?? 0) + 1;
    const waitMs = Math.min(this.#maxMs, this.#baseMs * 2 ** (attempt - 1));
    const lastError = error instanceof Error ? error.message : String(error);
    this.#failures.set(key, { attempt, retryAt: Date.now() + waitMs, lastError });
  }

  forget(key: string): void {
    this.#failures.delete(key);
  }

  refusedKeys(): number {
    return [...this.#failures.keys()].filter((key) => this.refusal(key)).length;
  }

  refusal(key: string): Refusal | undefined {
    const failure = this.#failures.get(key);
    if (!failure) return undefined;
    const { attempt, retryAt, lastError } = failure;
    if (attempt >= this.#maxFailures) {
      const limit = `exceeded ${this.#maxFailures} consecutive spawn failures`;
      const message = `Tenant "${key}" ${limit}; clearBackoff() to retry. Last error: ${lastError}`;
      return { error: Object.assign(new Error(message), { code: 'ERR_RUNTIME_MAX_FAILURES' }) };
    }
    const retryAfterMs = retryAt - Date.now();
    if (retryAfterMs <= 0) return undefined;
    const wait = `is backing off after ${attempt} failure(s); retry in ${retryAfterMs}ms`;
    const error = new Error(`Tenant "${key}" ${wait}. Last error: ${lastError}`);
    const backoff = { attempt, retryAfterMs };
    return { error: Object.assign(error, { code: 'ERR_RUNTIME_BACKOFF', ...backoff }), backoff };
  }
}
