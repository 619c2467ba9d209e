// What a step expects, and how it fails.

export async function expectBody(
  response: Response,
  status: number,
  text: string,
): Promise<string> {
  const body = await response.text();
  expect(response.status === status, `expected ${status}, got ${response.status}: ${body}`);
  expect(body.includes(text), `expected "${text}" in: ${body}`);
  return body;
}

export function expect(condition: boolean, message: string): asserts condition {
  if (!condition) fail(message);
}

export function fail(message: string): never {
  throw new Error(message);
}

/** How much later than a visitor the operator's view knows, commands on a busy machine included. */
const SHOWN_WITHIN_MS = 10_000;

/**
 * Looks until there is something to see: the gateway answers without JavaScript, which hears of a
 * start or an exit a moment later. Returns what was seen.
 */
export async function seen<T>(
  otherwise: string,
  look: () => Promise<T | undefined | false>,
  withinMs = SHOWN_WITHIN_MS,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) fail(otherwise);
    await Bun.sleep(100);
  }
}
