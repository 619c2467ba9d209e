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
  [
    { denny: [] },
    'denny is not an option of the egress guard; there are allow, deny, only, budget, lookup, onDenied',
  ],
  [{ allow: '10.0.0.0/8' }, 'allow must be an array of strings, got "10.0.0.0/8"'],
  [{ allow: [1] }, 'allow must be an array of strings, got [1]'],
  [{ allow: [, '10.0.0.0/8'] }, 'allow must be an array of strings, got [, "10.0.0.0/8"]'],
  [{ deny: {} }, 'deny must be an array of strings, got an object'],
  [{ only: null }, 'only must be an array of strings, got null'],
  [{ lookup: 'dns' }, 'lookup must be a function, got "dns"'],
  [{ onDenied: true }, 'onDenied must be a function, got true'],
  [{ budget: 5 }, 'budget must be an object, got 5'],
  [{ budget: [] }, 'budget must be an object, got an empty array'],
  [
    { budget: { maxRequest: 5 } },
    'budget.maxRequest is not an option of the egress guard; there are windowMs, maxRequests, maxBytes',
  ],
  [{ budget: { windowMs: 0 } }, 'budget.windowMs must be a number of at least 1, got 0'],
  [{ budget: { windowMs: '1m' } }, 'budget.windowMs must be a number of at least 1, got "1m"'],
  [{ budget: { windowMs: NaN } }, 'budget.windowMs must be a number of at least 1, got NaN'],
  [{ budget: { windowMs: Infinity } }, 'budget.windowMs must be finite, got Infinity'],
  [{ budget: { maxRequests: -1 } }, 'budget.maxRequests must be a whole number of at least 0, got -1'],
  [{ budget: { maxRequests: 1.5 } }, 'budget.maxRequests must be a whole number of at least 0, got 1.5'],
  [{ budget: { maxBytes: '1MB' } }, 'budget.maxBytes must be a whole number of at least 0, got "1MB"'],
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
  expect(Object.keys(createEgressGuard()).sort()).toEqual(['fetch', 'fetchFor', 'reset', 'usage']);
  createEgressGuard({});
  createEgressGuard({ budget: {} });
  createEgressGuard({ allow: undefined, budget: undefined, lookup: undefined } as any);
});
