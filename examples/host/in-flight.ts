// Keeps tenants with open requests from being idle: each is touched until its last request has
// ended.

/** Well below any sensible idle time. */
const TOUCH_EVERY_MS = 1_000;

export class InFlight {
  readonly #counts = new Map<string, number>();
  readonly #timer: Timer;

  constructor(touch: (name: string) => void) {
    this.#timer = setInterval(() => {
      for (const name of this.#counts.keys()) touch(name);
    }, TOUCH_EVERY_MS);
  }

  /** Returns a function to be called at the end of the request; more calls do nothing. */
  begin(name: string): () => void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      const left = (this.#counts.get(name) ?? 1) - 1;
      if (left > 0) this.#counts.set(name, left);
      else this.#counts.delete(name);
    };
  }

  dispose(): void {
    clearInterval(this.#timer);
  }
}
