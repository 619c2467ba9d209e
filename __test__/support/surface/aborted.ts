// The error of an aborted call, and an abort signal that counts its listeners.
import { expect } from 'bun:test';
import { rejectionOf } from './wait.ts';

/** Checks that the call was aborted, with `reason` as the cause. */
export async function expectAborted(
  promise: Promise<unknown>,
  key: string,
  reason?: unknown,
): Promise<void> {
  const error = await rejectionOf(promise);
  expect(error).toBeInstanceOf(Error);
  expect({ name: error.name, code: error.code, message: error.message }).toEqual({
    name: 'AbortError',
    code: 'ERR_RUNTIME_ABORTED',
    message: `the call for tenant "${key}" was aborted`,
  });
  if (reason !== undefined) expect(error.cause).toBe(reason);
}

/** An abort signal that counts its listeners. */
export class CountingSignal extends EventTarget {
  aborted = false;
  reason: unknown;
  listeners = 0;

  override addEventListener(...args: Parameters<EventTarget['addEventListener']>): void {
    this.listeners += 1;
    super.addEventListener(...args);
  }

  override removeEventListener(...args: Parameters<EventTarget['removeEventListener']>): void {
    this.listeners -= 1;
    super.removeEventListener(...args);
  }

  abort(reason: unknown): void {
    this.aborted = true;
    this.reason = reason;
    this.dispatchEvent(new Event('abort'));
  }

  get asSignal(): AbortSignal {
    return this as unknown as AbortSignal;
  }
}
