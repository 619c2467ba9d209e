// What the egress guard's types must accept, infer and reject. `tsc` checks this file; nothing
// runs it.
import { lookup } from 'node:dns/promises';
import {
  createEgressGuard,
  EgressDeniedError,
  type EgressBudget,
  type EgressBudgets,
  type EgressDenialReason,
  type EgressDenyInfo,
  type EgressDenyReason,
  type EgressGuard,
  type EgressGuardMetrics,
  type EgressGuardOptions,
  type FetchLike,
  type RuntimeErrorCode,
  type TracerProvider,
} from '@absolutejs/runtime';

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function assertType<_T extends true>(): void {}

// Options: none is required, and all of them together are accepted.
const guard: EgressGuard = createEgressGuard();
declare const tracerProvider: TracerProvider;
const budget: Required<EgressBudget> = { windowMs: 60_000, maxRequests: 1, maxBytes: Infinity };
const everyOption: Required<EgressGuardOptions> = {
  allow: ['10.1.2.0/24', 'fd00::/8'],
  deny: ['example.com', '*.example.com', '203.0.113.7'],
  only: ['api.example.com'] as const,
  budget,
  lookup: async () => ['1.1.1.1'],
  onDenied: (error) => void error.reason,
  budgets: { requests: 1, bytes: 1, windowMs: 1_000 },
  onDeny: ({ tenant, url, reason }) => {
    assertType<Equal<typeof reason, EgressDenyReason>>();
    void [tenant.length, url.hostname];
  },
  fetchImpl: globalThis.fetch,
  now: Date.now,
  tracerProvider,
};
createEgressGuard({ allow: (tenant, url) => tenant === 'acme' && url.protocol === 'https:' });
createEgressGuard({
  fetchImpl: async (input) => new Response(String(input)),
  budgets: { requests: 1 },
});
createEgressGuard(everyOption);
createEgressGuard({ lookup: (hostname) => lookup(hostname, { all: true }) });
createEgressGuard({ lookup: () => [{ address: '1.1.1.1', family: 4 }, '::1'] });
createEgressGuard({ onDenied: async () => {} });
// @ts-expect-error a list, not one entry
createEgressGuard({ allow: '10.0.0.0/8' });
// @ts-expect-error one answer is not all of them
createEgressGuard({ lookup: (hostname) => lookup(hostname) });
// @ts-expect-error a number, not a string
createEgressGuard({ budget: { windowMs: '1m' } });
// @ts-expect-error an unknown option
createEgressGuard({ denny: [] });

// The guard: a plain object whose fetch fits where a fetch is taken.
const { fetch, fetchFor, usage, reset, metrics } = guard;
assertType<Equal<ReturnType<typeof metrics>, EgressGuardMetrics>>();
assertType<Equal<ReturnType<typeof fetchFor>, FetchLike>>();
assertType<Equal<EgressGuardMetrics['denied'], Record<EgressDenyReason, number>>>();
reset();
reset('acme');
declare function takesFetch(
  fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>,
): void;
takesFetch(fetchFor('acme'));
takesFetch(globalThis.fetch);
assertType<Equal<ReturnType<typeof fetch>, Promise<Response>>>();
assertType<Equal<ReturnType<typeof usage>, { requests: number; bytes: number }>>();
assertType<Equal<ReturnType<typeof reset>, void>>();
void fetch('acme', 'https://example.com');
void fetch('acme', new URL('https://example.com'), {
  method: 'POST',
  body: 'x',
  redirect: 'manual',
});
void fetch('acme', new Request('https://example.com'));
// @ts-expect-error a key comes first
void fetch(new URL('https://example.com'));
// @ts-expect-error not a URL
void fetch('acme', 5);

// Errors.
try {
  await fetchFor('acme')('https://example.com');
} catch (error) {
  if (error instanceof EgressDeniedError) {
    assertType<Equal<typeof error.name, 'EgressDeniedError'>>();
    assertType<Equal<typeof error.code, 'ERR_RUNTIME_EGRESS_DENIED'>>();
    assertType<Equal<typeof error.reason, EgressDenialReason>>();
    assertType<Equal<typeof error.retryAfterMs, number | undefined>>();
    assertType<Equal<typeof error.address, string | undefined>>();
    const code: RuntimeErrorCode = error.code;
    const texts: string[] = [error.key, error.url, error.message, code];
    texts.push(error.reason);
    // @ts-expect-error read only
    error.key = 'other';
  }
}
const reasons: Record<EgressDenialReason, true> = {
  scheme: true,
  credentials: true,
  port: true,
  host: true,
  address: true,
  'requests-budget': true,
  'bytes-budget': true,
  'not-allowed': true,
};
void reasons;
const failed: RuntimeErrorCode = 'ERR_RUNTIME_EGRESS_FAILED';
void failed;
const info: EgressDenyInfo = {
  tenant: 'acme',
  url: new URL('http://10.0.0.1'),
  reason: 'not-allowed',
};
const byOthers: EgressBudgets = { windowMs: 1 };
void [new EgressDeniedError(info).tenant, byOthers];
// @ts-expect-error of what, and why
new EgressDeniedError();
