/** Waiting for something to become true, with a deadline and without a fixed sleep. */

/** Generous: the machine may be busy with other things. An emulated one needs more. */
export const PATIENCE_MS = Number(process.env.TEST_PATIENCE_MS ?? 20_000);
const PAUSE_MS = 4;

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/**
 * Resolves with the first value that is neither `undefined` nor `false`. Throws when none comes in
 * time, with what was awaited.
 */
export async function until<T>(
  what: string,
  look: () => T | undefined | false,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const value = look();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`not within ${patienceMs} ms: ${what}`);
    await pause(PAUSE_MS);
  }
}

/** The promise's outcome; throws if it has none in time. */
export async function within<T>(
  what: string,
  promise: Promise<T>,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${patienceMs} ms: ${what}`)), patienceMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
