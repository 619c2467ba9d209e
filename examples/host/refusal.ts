// The response to a client whose tenant could not be started.
import type { RuntimeError } from '@absolutejs/runtime';

export function refusal(error: unknown): Response {
  const { code, retryAfterMs = 0, message } = error as RuntimeError;
  switch (code) {
    case 'ERR_RUNTIME_BACKOFF': {
      const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
      return text(503, message, { 'retry-after': String(seconds) });
    }
    case 'ERR_RUNTIME_DRAINING':
    case 'ERR_RUNTIME_DISPOSED':
      return text(503, message);
    default:
      return text(502, error instanceof Error ? message : String(error));
  }
}

export function text(
  status: number,
  message: string,
  headers: Record<string, string> = {},
): Response {
  return new Response(`${message}\n`, {
    status,
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      ...headers,
    },
  });
}
