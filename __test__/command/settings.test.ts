// Flags come before variables, these before the config file, and that before defaults.
import { expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSettings } from '../../lib/command/settings.js';
import { reloaded } from '../../lib/command/serve/reload.js';
import { runtimeOptions } from '../../lib/command/serve/tenants.js';
import { directory } from '../support/command/run.ts';

const MIB = 2 ** 20;

async function read(
  path: string,
  config: string,
  { flags = {}, env = {} }: { flags?: Record<string, string>; env?: Record<string, string> } = {},
) {
  mkdirSync(join(path, 'tenants'), { recursive: true });
  if (config !== '') writeFileSync(join(path, 'runtime.config.mjs'), `export default ${config}`);
  return readSettings({ flags, directory: undefined, env, cwd: path });
}

test('the first that says something counts', async () => {
  using place = directory();
  const config = `{ memory: '1G', cpus: 2, idle: 1500, trust: ['10.0.0.0/8', '::1'] }`;
  const { dir, values } = await read(place.path, config, {
    flags: { memory: '2G' },
    env: { ABSOLUTE_RUNTIME_MEMORY: '3G', ABSOLUTE_RUNTIME_CPUS: '0.5', ABSOLUTE_RUNTIME_MAX: '' },
  });
  expect(dir).toBe(join(place.path, 'tenants'));
  expect(values).toMatchObject({
    memory: 2048 * MIB,
    cpus: 0.5,
    idle: 1500,
    max: 100,
    trust: ['10.0.0.0/8', '::1'],
    'stop-timeout': 5000,
    metrics: null,
    name: 'tenants',
  });
});

test('a switch is on or off in words where it is no flag', async () => {
  using place = directory();
  const takesOver = async (config: string, given?: string) => {
    const env: Record<string, string> =
      given === undefined ? {} : { ABSOLUTE_RUNTIME_TAKE_OVER: given };
    return (await read(place.path, config, { env })).values['take-over'];
  };
  const config = (value: unknown) => `{ survive: 'apps', takeOver: ${value} }`;
  for (const word of ['1', 'true', 'yes', 'On'])
    expect(await takesOver(config(false), word)).toBe(true);
  for (const word of ['0', 'false', 'no', 'OFF'])
    expect(await takesOver(config(true), word)).toBe(false);
  expect(await takesOver(config(true))).toBe(true);
  expect(takesOver(config(true), 'maybe')).rejects.toThrow(
    'ABSOLUTE_RUNTIME_TAKE_OVER must be true or false, got maybe',
  );
});

test('paths of the config file are relative to it', async () => {
  using place = directory();
  const { path } = place;
  mkdirSync(join(path, 'etc/apps'), { recursive: true });
  writeFileSync(join(path, 'etc/host.json'), JSON.stringify({ dir: 'apps', logDir: 'log' }));
  const flags = { config: 'etc/host.json' };
  const { dir, values } = await readSettings({ flags, directory: undefined, env: {}, cwd: path });
  expect({ dir, log: values['log-dir'] }).toEqual({
    dir: join(path, 'etc/apps'),
    log: join(path, 'etc/log'),
  });
});

test('by default a tenant has limits and walls, as far as the host can', async () => {
  using place = directory();
  const settings = await read(place.path, '');
  const options = runtimeOptions(() => settings);
  const each = {
    idleAfterMs: 300_000,
    stopTimeoutMs: 5000,
    readinessTimeoutMs: 30_000,
    limits: { memoryBytes: 512 * MIB, cpus: 1, processes: 200, enforce: 'best-effort' as const },
    isolation: { enforce: 'best-effort' as const },
  };
  expect(options).toEqual({
    source: { kind: 'directory', root: settings.dir },
    maxConcurrent: 100,
    backoff: { minUptimeMs: 5000 },
    evict: 'lru',
    ...each,
  });
  // With a config file it may become another at each start.
  const configured = await read(place.path, '{}');
  expect(await runtimeOptions(() => configured).tenant!('any')).toEqual(each);
});

test('sleep is on with --sleep-after, and what is not said of it is as in the library', async () => {
  using place = directory();
  const options = async (config: string, flags = {}) => {
    const settings = await read(place.path, config, { flags });
    const { sleep, evict, memory } = runtimeOptions(() => settings);
    return { sleep, evict, memory };
  };
  expect(await options('{ evict: "cost", keepFree: "512M" }', { 'sleep-after': '30s' })).toEqual({
    sleep: { afterMs: 30_000 },
    evict: 'cost',
    memory: { keepFreeBytes: 512 * MIB },
  });
  const config = `{ sleepAfter: '1m', pageOutAfter: 'never', maxAsleep: 7, outgoing: 'breathe' }`;
  expect((await options(config)).sleep).toEqual({
    ...{ afterMs: 60_000, pageOutAfterMs: 0, maxAsleep: 7, outgoing: 'breathe' },
  });
  expect((await options(config, { 'page-out-after': '2m' })).sleep).toMatchObject({
    pageOutAfterMs: 120_000,
  });
  const off = { sleep: undefined, evict: 'lru' as const, memory: undefined };
  expect(await options(`{ sleepAfter: 'never', keepFree: 'none' }`)).toEqual(off);
  for (const name of ['page-out-after', 'max-asleep', 'outgoing']) {
    const flags = { [name]: { 'page-out-after': '1m', 'max-asleep': '9' }[name] ?? 'sleep' };
    expect(options('{}', flags)).rejects.toThrow(`--${name} also needs --sleep-after`);
  }
});

test('a tenant has what the function of the key says in place of that', async () => {
  using place = directory();
  const config = `{ tenant: async (key) => ({
    big: { memory: '1G', idle: 'never', warm: true },
    open: { isolation: 'none', cpus: 'none', env: { A: '1' } },
    own: { limits: { openFiles: 64 }, isolation: { read: ['/srv'] } },
    none: undefined,
    wrong: { memroy: 1 },
    worse: { memory: 'lots' },
    list: [],
  })[key] }`;
  const settings = await read(place.path, config);
  const tenant = async (key: string) => runtimeOptions(() => settings).tenant!(key);
  expect(await tenant('big')).toMatchObject({
    limits: { memoryBytes: 1024 * MIB, cpus: 1 },
    idleAfterMs: 0,
    warm: true,
  });
  expect(await tenant('open')).toMatchObject({ isolation: 'none', env: { A: '1' } });
  expect((await tenant('open')).limits).not.toHaveProperty('cpus');
  expect(await tenant('own')).toMatchObject({
    limits: { memoryBytes: 512 * MIB, openFiles: 64, enforce: 'best-effort' },
    isolation: { enforce: 'best-effort', read: ['/srv'] },
  });
  expect(await tenant('none')).toMatchObject({ idleAfterMs: 300_000 });
  expect(tenant('list')).rejects.toThrow(
    /tenant\("list"\) must return an object, got an empty array$/,
  );
  expect(tenant('wrong')).rejects.toThrow(
    'memroy is not a setting of a tenant; did you mean memory?',
  );
  expect(tenant('worse')).rejects.toThrow('tenant("worse").memory must be a size such as 512M');
});

test('env of a tenant comes on top of what each has, and can leave some of that out', async () => {
  using place = directory();
  const config = `{ tenant: (key) => ({
    record: { env: { GREETING: 'hi', HOME: undefined, LANG: 'C' } },
    called: { env: (key) => ({ GREETING: key }) },
    all: { env: 'inherit' },
    wrong: { env: 5 },
  })[key] }`;
  const settings = await read(place.path, config);
  const envOf = async (key: string): Promise<any> =>
    (await runtimeOptions(() => settings).tenant!(key)).env;
  process.env.A_SECRET = 'of the host';
  try {
    const env = await envOf('record');
    expect(env).toMatchObject({ PATH: process.env.PATH, GREETING: 'hi', LANG: 'C' });
    expect(env.HOME).toBeUndefined();
    expect(env).not.toHaveProperty('A_SECRET');
    expect((await envOf('called'))('x')).toMatchObject({
      PATH: process.env.PATH,
      GREETING: 'x',
    });
  } finally {
    delete process.env.A_SECRET;
  }
  expect(await envOf('all')).toBe('inherit');
  expect(await envOf('wrong')).toBe(5);
});

test('what is read again holds as far as a running host can take it', async () => {
  using place = directory();
  const before = await read(place.path, `{ memory: '1G', port: 1 }`);
  const now = await read(place.path, `{ memory: '2G', port: 2, tlsCert: 'a', tlsKey: 'b' }`);
  const { settings, applied, refused } = reloaded(before, now);
  expect(applied).toEqual(['memory (1G → 2G)']);
  expect(refused).toEqual(['port (1 → 2)', 'tls-cert (none → a)', 'tls-key (none → b)']);
  expect(settings.values).toMatchObject({ memory: 2048 * MIB, port: 1 });
  // Without a file at its start a host asks nothing at the starts of tenants.
  const without = { ...before, file: undefined };
  expect(reloaded(without, now).applied).toEqual([]);
  expect(reloaded(without, now).refused).toContain('memory (1G → 2G)');
});
