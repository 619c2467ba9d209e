// Waiting with a deadline. It is long, as the machine may be busy: it only ends a test that would
// hang. An emulated machine needs more.
const DEADLINE_MS = Number(process.env.TEST_PATIENCE_MS ?? 15_000);

/** The promise's outcome; rejects with what was awaited if it does not settle in time. */
export async function within<T>(what: string, promise: PromiseLike<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`waited in vain: ${what}`)), DEADLINE_MS);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What the promise rejects with, whatever it is. A promise that resolves is an error. */
export async function rejectionOf(promise: PromiseLike<unknown>): Promise<any> {
  const outcome = promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  const settled = await within('a rejection', outcome);
  if ('error' in settled) return settled.error;
  throw new Error(`resolved with ${String(settled.value)} instead of rejecting`);
}

/**
 * Waits a few turns of the event loop, in which due timers, promises and records from Rust are
 * handled.
 */
export async function aFewTurns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Whether the promise is still unsettled after a few turns of the event loop. */
export async function isPending(promise: PromiseLike<unknown>): Promise<boolean> {
  let pending = true;
  const settled = (): void => void (pending = false);
  promise.then(settled, settled);
  await aFewTurns();
  return pending;
}

/**
 * Waits until the clock shows another millisecond, so that what follows differs from what came
 * before.
 */
export async function nextMillisecond(): Promise<void> {
  const now = Date.now();
  while (Date.now() <= now) await new Promise((resolve) => setImmediate(resolve));
}
