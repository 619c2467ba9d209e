import { expect, test } from 'bun:test';
import { createEgressGuard } from '@absolutejs/runtime';

function refusal(options: unknown): any {
  try {
    createEgressGuard(options as any);
  } catch (error) {
    return error;
  }
  throw new Error('the options were accepted');
}

const refused: [options: unknown, message: string][] = [
  [null, 'options must be an object, got null'],
  ['all', 'options must be an object, got "all"'],
  [[], 'options must be an object, got an empty array'],
  [{ allow: '10.0.0.0/8' }, 'allow must be an array of strings, got "10.0.0.0/8"'],
  [{ allow: [1] }, 'allow must be an array of strings, got [1]'],
  [{ allow: [, '10.0.0.0/8'] }, 'allow must be an array of strings, got [, "10.0.0.0/8"]'],
  [{ deny: {} }, 'deny must be an array of strings, got an object'],
  [{ only: null }, 'only must be an array of strings, got null'],
  [{ lookup: 'dns' }, 'lookup must be a function, got "dns"'],
  [{ onDenied: true }, 'onDenied must be a function, got true'],
  [{ budget: 5 }, 'budget must be an object, got 5'],
  [{ budget: [] }, 'budget must be an object, got an empty array'],
  [{ budget: { windowMs: 0 } }, 'budget.windowMs must be a number of at least 1, got 0'],
  [{ budget: { windowMs: '1m' } }, 'budget.windowMs must be a number of at least 1, got "1m"'],
  [{ budget: { windowMs: NaN } }, 'budget.windowMs must be a number of at least 1, got NaN'],
  [{ budget: { windowMs: Infinity } }, 'budget.windowMs must be finite, got Infinity'],
  [
    { budget: { maxRequests: -1 } },
    'budget.maxRequests must be a whole number of at least 0, got -1',
  ],
  [
    { budget: { maxRequests: 1.5 } },
    'budget.maxRequests must be a whole number of at least 0, got 1.5',
  ],
  [{ budget: {}, budgets: {} }, 'budget and budgets are two names for one thing: give one of them'],
  [{ budgets: 5 }, 'budgets must be an object, got 5'],
  [{ budgets: { windowMs: 0 } }, 'budgets.windowMs must be a number of at least 1, got 0'],
  [{ budgets: { requests: -1 } }, 'budgets.requests must be a whole number of at least 0, got -1'],
  [{ budgets: { bytes: '1MB' } }, 'budgets.bytes must be a whole number of at least 0, got "1MB"'],
  [
    { budgets: { maxBytes: 1 } },
    'budgets.maxBytes is not an option; there are windowMs, requests, bytes',
  ],
  [{ onDeny: true }, 'onDeny must be a function, got true'],
  [{ fetchImpl: 'fetch' }, 'fetchImpl must be a function, got "fetch"'],
  [{ now: 5 }, 'now must be a function, got 5'],
  [{ tracerProvider: {} }, 'tracerProvider must be a tracer provider, got an object'],
  [
    { allow: () => true, deny: [] },
    'allow is a function, which decides alone: leave out deny and only',
  ],
  [
    { budget: { maxBytes: '1MB' } },
    'budget.maxBytes must be a whole number of at least 0, got "1MB"',
  ],
];

test.each(refused)('%j is refused, naming the option', (options, message) => {
  const error = refusal(options);
  expect(error).toBeInstanceOf(TypeError);
  expect(error).toMatchObject({ code: 'ERR_RUNTIME_INVALID_OPTION', message });
});

test.each([
  'example.com',
  '*.example.com',
  '10.0.0.1/8',
  '10.0.0.0/33',
  '127.1',
  '',
  '0x7f000001',
  '10.0.0.0-10.0.0.9',
])('allow: %p is no address or range', (entry) => {
  const error = refusal({ allow: ['10.0.0.0/8', entry] });
  expect(error.code).toBe('ERR_RUNTIME_INVALID_OPTION');
  expect(error.message).toStartWith('allow[1] must be an address or a range of addresses');
  expect(error.message).toContain(`got ${JSON.stringify(entry)}`);
});

for (const list of ['deny', 'only']) {
  test.each([
    '',
    '.',
    '*',
    '*.',
    '*.*.com',
    'a..b',
    'http://example.com',
    'example.com:80',
    'example.com/',
    'a b',
    'user@a',
    '10.0.0.1/8',
    '127.1',
    '*.127.0.0.1',
    'a?b',
    'a#b',
    '[::1]',
  ])(`${list}: %p is no host`, (entry) => {
    const error = refusal({ [list]: [entry] });
    expect(error.code).toBe('ERR_RUNTIME_INVALID_OPTION');
    expect(error.message).toStartWith(`${list}[0] must be a host name`);
  });

  test.each([
    'example.com',
    'localhost',
    '*.example.com',
    'EXAMPLE.com.',
    'bücher.example',
    'a_b.test',
    '10.0.0.1',
    '10.0.0.0/8',
    '::1',
    'fd00::/8',
    '0.0.0.0/0',
  ])(`${list}: %p is a host`, (entry) => {
    createEgressGuard({ [list]: [entry] });
  });
}

test('everything is optional', () => {
  expect(Object.keys(createEgressGuard()).sort()).toEqual([
    'fetch',
    'fetchFor',
    'metrics',
    'reset',
    'usage',
  ]);
  createEgressGuard({});
  createEgressGuard({ budget: {} });
  createEgressGuard({ allow: undefined, budget: undefined, lookup: undefined } as any);
});
