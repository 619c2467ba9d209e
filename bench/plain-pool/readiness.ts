// Readiness: any HTTP answer. Requests every 100 ms, for 2 s each and 30 s in all.
import type { ReadinessCheck } from '@absolutejs/runtime';

const POLL_MS = 100;
const TRY_TIMEOUT_MS = 2_000;
const TIMEOUT_MS = 30_000;

export const answersHttp: ReadinessCheck = async ({ port, startedAt }) => {
  while (Date.now() - startedAt < TIMEOUT_MS) {
    try {
      const signal = AbortSignal.timeout(TRY_TIMEOUT_MS);
      const response = await fetch(`http://127.0.0.1:${port}/`, { signal, redirect: 'manual' });
      await response.body?.cancel();
      return true;
    } catch {
      await Bun.sleep(POLL_MS);
    }
  }
  return false;
};
