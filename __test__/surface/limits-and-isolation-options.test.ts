// `limits` and `isolation` are checked when they are given: by `createRuntime`, or in the start that
// a function gives them for. Each error names the field and the value, and says what to do.
import { expect, test } from 'bun:test';
import { createRuntime, type RuntimeOptions } from '@absolutejs/runtime';
import { isolationAt, limitsAt } from '../../lib/confinement.js';
import { source } from '../support/surface/bench.ts';
import { Recorder } from '../support/surface/recorder.ts';
import { rejectionOf } from '../support/surface/wait.ts';

function refusal(options: object): any {
  try {
    createRuntime({ source, ...options } as RuntimeOptions);
  } catch (error) {
    return error;
  }
  throw new Error('the options were accepted');
}

const WHOLE = ['memoryBytes', 'processes', 'openFiles', 'fileBytes'] as const;
const WRONG_NUMBERS = [0, -1, NaN, Infinity, -Infinity, '1', null, true, 2 ** 53, 1n];

const wrongLimits: [object, string | RegExp][] = [
  ...WHOLE.flatMap((name) =>
    [...WRONG_NUMBERS, 1.5].map((value): [object, RegExp] => [
      { [name]: value },
      new RegExp(
        `^limits\\.${name} must be a whole number (of at least 1|from 1 to 4194304), got `,
      ),
    ]),
  ),
  // The kernel refuses such numbers: no limit that a start would fail for passes the options.
  [
    { processes: 2 ** 22 + 1 },
    'limits.processes must be a whole number from 1 to 4194304, got 4194305',
  ],
  [{ cpus: 1e9 }, 'limits.cpus must be a number from 0.01 to 1000000, got 1000000000'],
  ...WRONG_NUMBERS.map((cpus): [object, RegExp] => [
    { cpus },
    /^limits\.cpus must be a number from 0\.01 to 1000000, got /,
  ]),
  [{ cpus: 0.009 }, 'limits.cpus must be a number from 0.01 to 1000000, got 0.009'],
  ...[...WRONG_NUMBERS, 1.5, 10_001].map((cpuWeight): [object, RegExp] => [
    { cpuWeight },
    /^limits\.cpuWeight must be a whole number from 1 to 10000, got /,
  ]),
  [
    { memoryBytes: 0 },
    'limits.memoryBytes must be a whole number of at least 1, got 0; leave it out for no limit',
  ],
  [
    { cpus: Infinity },
    'limits.cpus must be a number from 0.01 to 1000000, got Infinity; leave it out for no limit',
  ],
  [
    { swapBytes: 0, memoryBytes: 1 },
    'limits.swapBytes must be a whole number of at least 1, got 0; leave it out for no limit',
  ],
  [
    { swapBytes: 1 },
    'limits.swapBytes is swap on top of limits.memoryBytes, which must be given, too',
  ],
  [{ enforce: 'strict' }, 'limits.enforce must be "required" or "best-effort", got "strict"'],
  [{ ram: 1 }, /^limits\.ram is not an option; there are memoryBytes, /],
  [{ memory: 1 }, 'limits.memory is not an option; did you mean limits.memoryBytes?'],
  [{ memoryByte: 1 }, 'limits.memoryByte is not an option; did you mean limits.memoryBytes?'],
];

test.each(wrongLimits)('limits %p', (limits, message) => {
  const error = refusal({ limits });
  expect(error).toBeInstanceOf(TypeError);
  expect(error.code).toBe('ERR_RUNTIME_INVALID_OPTION');
  expect(error.message).toEqual(
    typeof message === 'string' ? message : expect.stringMatching(message),
  );
});

const PORTS = 'ports from 1 to 65535';
const wrongWalls: [unknown, string | RegExp][] = [
  ...['all', 7, null, true, ['tenant']].map((isolation): [unknown, RegExp] => [
    isolation,
    /^isolation must be "none", "tenant" or an object of walls, got /,
  ]),
  [{ reads: [] }, 'isolation.reads is not an option; did you mean isolation.read?'],
  ...(['read', 'write'] as const).flatMap((name) =>
    [
      ['/srv', '"/srv"'],
      [[''], '"" in it'],
      [['/a', 'b\0c'], '"b\\u0000c" in it'],
      [[7], '7 in it'],
      [new Array(2), 'undefined in it'],
    ].map(([value, got]): [unknown, string] => [
      { [name]: value },
      `isolation.${name} must be an array of paths, got ${got}`,
    ]),
  ),
  [{ listen: 80 }, `isolation.listen must be an array of ${PORTS}, got 80`],
  ...[0, 65_536, 1.5, '80', -1].map((port): [unknown, RegExp] => [
    { listen: [80, port] },
    /^isolation\.listen must be an array of ports from 1 to 65535, got .* in it$/,
  ]),
  [{ connect: 'none' }, `isolation.connect must be "any" or an array of ${PORTS}, got "none"`],
  [{ connect: [0] }, `isolation.connect must be "any" or an array of ${PORTS}, got 0 in it`],
  [{ enforce: 1 }, 'isolation.enforce must be "required" or "best-effort", got 1'],
  [{ user: 1_000 }, 'isolation.user must be an object, got 1000'],
  ...[{}, { uid: 1, gid: 1, first: 1, count: 1 }, { uid: 1, count: 1 }].map(
    (user): [unknown, string] => [
      { user },
      'isolation.user must be either { uid, gid } or { first, count }',
    ],
  ),
  [{ user: { uuid: 1 } }, 'isolation.user.uuid is not an option; did you mean isolation.user.uid?'],
  [
    { user: { uid: 1 } },
    /^isolation\.user\.gid must be a whole number from 1 to 4294967294, got u/,
  ],
  [{ user: { uid: 0, gid: 1 } }, /^isolation\.user\.uid must be .*, got 0, which is root$/],
  [{ user: { uid: 1, gid: 0 } }, /^isolation\.user\.gid must be .*, got 0, which is root$/],
  [{ user: { uid: 2 ** 32 - 1, gid: 1 } }, /^isolation\.user\.uid must be /],
  [{ user: { first: 0, count: 1 } }, /^isolation\.user\.first must be .*, got 0, which is root$/],
  [{ user: { first: 1.5, count: 1 } }, /^isolation\.user\.first must be /],
  [{ user: { first: 1, count: 0 } }, /^isolation\.user\.count must be .*, got 0$/],
  [
    { user: { first: 2 ** 32 - 2, count: 2 } },
    'isolation.user.count must lead no further than 4294967294, got 2',
  ],
];

test.each(wrongWalls)('isolation %p', (isolation, message) => {
  const error = refusal({ isolation });
  expect(error).toBeInstanceOf(TypeError);
  expect(error.code).toBe('ERR_RUNTIME_INVALID_OPTION');
  expect(error.message).toEqual(
    typeof message === 'string' ? message : expect.stringMatching(message),
  );
});

test('the defaults, and all there is', () => {
  expect(limitsAt('limits', {})).toBeUndefined();
  expect(limitsAt('limits', { enforce: 'best-effort' })).toBeUndefined();
  const limits = {
    memoryBytes: Number.MAX_SAFE_INTEGER,
    swapBytes: 1,
    cpus: 0.01,
    cpuWeight: 10_000,
    processes: 1,
    openFiles: 1,
    fileBytes: 1,
  };
  expect(limitsAt('limits', limits)).toEqual({ ...limits, isRequired: true });
  expect(limitsAt('limits', { cpus: 64, enforce: 'best-effort' })).toEqual({
    cpus: 64,
    isRequired: false,
  });
  const none = { read: [], write: [], listen: [], isRequired: true };
  expect(isolationAt('isolation', 'none')).toBeUndefined();
  expect(isolationAt('isolation', 'tenant')).toEqual(none);
  expect(isolationAt('isolation', { connect: 'any', enforce: 'required' })).toEqual(none);
  const walls = {
    read: ['/srv/shared', 'relative', '../other'],
    write: ['/var/uploads'],
    listen: [1, 65_535],
    connect: [],
    user: { first: 1, count: 2 ** 32 - 2 },
  };
  expect(isolationAt('isolation', walls)).toEqual({ ...walls, isRequired: true });
});

test.each(['spawn', 'checkpoint'] as const)('neither can be kept beside %s', (other) => {
  const driver = { checkpoint() {}, restore() {}, drop() {}, has() {} };
  const given = other === 'spawn' ? { spawn() {} } : { checkpoint: { driver } };
  for (const option of ['limits', 'isolation']) {
    for (const value of [{}, () => ({})]) {
      const error = refusal({ ...given, [option]: value });
      expect([error.name, error.code]).toEqual(['TypeError', 'ERR_RUNTIME_INVALID_OPTION']);
      expect(error.message).toStartWith(`${option} and ${other} are given together: `);
    }
  }
  createRuntime({ source, ...given, isolation: 'none' } as never);
});

const boom = new Error('no plan');
const throwing = () => {
  throw boom;
};
const forOneKey: [string, Partial<RuntimeOptions>, RegExp | Error][] = [
  [
    'limits',
    { limits: () => ({ cpus: 0 }) },
    /^limits\("a"\)\.cpus must be .*, got 0; leave it out/,
  ],
  [
    'no limits',
    { limits: () => undefined as never },
    /^limits\("a"\) must be an object, got undef/,
  ],
  [
    'a promise of limits',
    { limits: (async () => throwing()) as never },
    /^limits\("a"\) must be given at once, got a promise: tenant\(\) may wait$/,
  ],
  ['walls', { isolation: () => 'all' as never }, /^isolation\("a"\) must be "none", "tenant" or/],
  ['a throw for limits', { limits: throwing }, boom],
  ['a throw for walls', { isolation: throwing }, boom],
  [
    'a Map of limits of one tenant',
    { tenant: () => ({ limits: new Map() as never }) },
    /^tenant\("a"\)\.limits must be an object, got a Map$/,
  ],
  [
    'limits of one tenant',
    { tenant: () => ({ limits: { openFiles: 0 } }) },
    /^tenant\("a"\)\.limits\.openFiles must be/,
  ],
  [
    'walls of one tenant',
    { tenant: () => ({ isolation: { listen: [0] } }) },
    /^tenant\("a"\)\.isolation\.listen must be/,
  ],
];

test.each(forOneKey)('a wrong value for %s fails that start', async (_, options, expected) => {
  const events = new Recorder();
  await using runtime = createRuntime({ source, ...options, ...events.callbacks });
  const error = await rejectionOf(runtime.ensure('a'));
  if (expected instanceof Error) expect(error).toBe(expected);
  else {
    expect(error).toMatchObject({ code: 'ERR_RUNTIME_INVALID_OPTION', key: 'a' });
    expect(error.message).toMatch(expected);
  }
  expect(events.transitions).toEqual([]);
  expect(await rejectionOf(runtime.ensure('a'))).toMatchObject({ code: 'ERR_RUNTIME_BACKOFF' });
});

test('what one tenant is given is not asked of the functions for all', async () => {
  const asked: string[] = [];
  const limits = (key: string) => {
    asked.push(key);
    throw boom;
  };
  await using runtime = createRuntime({
    source,
    limits,
    tenant: (key) => (key === 'own' ? { limits: { openFiles: 100 } } : {}),
  });
  expect(await rejectionOf(runtime.ensure('own'))).toMatchObject({ code: 'ERR_RUNTIME_SPAWN' });
  expect(await rejectionOf(runtime.ensure('other'))).toBe(boom);
  expect(asked).toEqual(['other']);
});
