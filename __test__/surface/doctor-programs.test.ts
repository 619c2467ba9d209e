import { expect, test } from 'bun:test';
import { finding, findingsOf } from '../support/surface/injected-host.ts';

const failingTrial = async () => ({ failure: 'Setup failed: not permitted', asksKernel: true });

test('a good host gets nothing but good findings', async () => {
  const findings = await findingsOf();
  expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
  expect(findings.length).toBeGreaterThan(20);
});

test('every finding that is not good says what to do, unless it is a note', async () => {
  const findings = await findingsOf({ uid: 0, env: {}, startTenant: failingTrial });
  const bad = findings.filter(({ level }) => level === 'warning' || level === 'problem');
  expect(bad.length).toBeGreaterThan(1);
  for (const { advice } of bad) expect(advice).toBeString();
});

test('a system other than Linux is a problem, and nothing else is checked', async () => {
  const findings = await findingsOf({ platform: 'darwin', arch: 'arm64' });
  expect(findings.map(({ check, level }) => `${check} ${level}`)).toEqual([
    'platform problem',
    'engine ok',
  ]);
  expect(findings[0]!.means).toContain('ERR_RUNTIME_UNSUPPORTED');
});

test('in an engine that is too old nothing else is checked', async () => {
  const loadAddon = () => {
    throw new Error('looked at');
  };
  const findings = await findingsOf({ nodeVersion: '18.20.8', bunVersion: undefined, loadAddon });
  expect(findings.map(({ check, level }) => `${check} ${level}`)).toEqual([
    'platform ok',
    'engine problem',
  ]);
  expect(findings[1]).toMatchObject({ found: 'Node 18.20.8', advice: 'update Node' });
});

test('the C library is the one that this process uses', async () => {
  const read = () => '7f00-7f01 r--p 00000000 08:01 1 /lib/ld-musl-x86_64.so.1';
  expect((await finding('platform', { read })).found).toBe('Linux x64, musl');
  expect((await finding('platform')).found).toBe('Linux x64, glibc');
});

test.each([
  { nodeVersion: '18.20.4', bunVersion: undefined, level: 'problem' },
  { nodeVersion: '20.0.0', bunVersion: undefined, level: 'ok' },
  { nodeVersion: '26.1.0', bunVersion: '1.2.23', level: 'problem' },
  { nodeVersion: '26.1.0', bunVersion: '1.3.0', level: 'ok' },
] as const)(
  'Node $nodeVersion with Bun $bunVersion as the engine: $level',
  async ({ level, ...engine }) => {
    expect((await finding('engine', engine)).level).toBe(level);
  },
);

test('an addon that does not load is a problem with its reason, and no start is tried', async () => {
  const cause = new Error('version GLIBC_2.39 not found\nRequire stack');
  const loadAddon = () => {
    throw new Error('could not load its addon', { cause });
  };
  const startTenant = () => Promise.reject(new Error('tried'));
  const findings = await findingsOf({ loadAddon, startTenant });
  expect(findings.filter(({ level }) => level === 'problem')).toMatchObject([
    { check: 'addon', found: 'could not load its addon', means: 'version GLIBC_2.39 not found' },
  ]);
  expect(findings.map(({ check }) => check)).not.toContain('trial start');
  expect(findings.map(({ check }) => check)).not.toContain('sock_diag');
  expect(findings.find(({ check }) => check === 'kernel, limits')).toMatchObject({
    level: 'note',
    found: 'not looked at',
  });
  expect(findings.map(({ check }) => check)).toContain('user');
});

test('a warden that is missing or may not be executed is a problem', async () => {
  const missing = await finding('warden', { exists: () => false });
  expect(missing).toMatchObject({ level: 'problem', found: '/opt/app/warden is missing' });
  const denied = await finding('warden', { isExecutable: (path) => path.endsWith('/bun') });
  expect(denied).toMatchObject({ level: 'problem', found: '/opt/app/warden may not be executed' });
  expect(denied.advice).toContain('noexec');
});

test('without Bun on PATH a Node host cannot start tenants, and the trial uses Node itself', async () => {
  const commands: unknown[] = [];
  const startTenant = async (command: string[] | undefined) => {
    commands.push(command);
    return { readyMs: 14, asksKernel: true };
  };
  const changes = { env: { PATH: '/usr/bin:bin' }, startTenant };
  expect(await finding('bun', changes)).toMatchObject({ level: 'problem', found: 'not on PATH' });
  expect(commands).toEqual([['/usr/bin/node', 'server.mjs']]);
});

test('without Bun on PATH a Bun host starts tenants with itself', async () => {
  const commands: unknown[] = [];
  const startTenant = async (command: string[] | undefined) => {
    commands.push(command);
    return { readyMs: 14, asksKernel: true };
  };
  expect(await finding('bun', { env: {}, bunVersion: '1.4.5', startTenant })).toMatchObject({
    level: 'note',
    means: "tenants are started with the host's own Bun, 1.4.5",
  });
  expect(commands).toEqual([undefined]);
});

test.each(['1.2.9', '0.8.1', undefined])('Bun %s on PATH is a warning', async (version) => {
  expect((await finding('bun', { outputOf: () => version })).level).toBe('warning');
});

test.each(['/srv/app/node_modules/.bin', '/tmp/bun-node-a7733435c'])(
  'a Bun that only a package runner puts on PATH is noted: %s',
  async (directory) => {
    const isExecutable = (path: string) => path === `${directory}/bun` || path.endsWith('/warden');
    const found = await finding('bun', { env: { PATH: `${directory}:/usr/bin` }, isExecutable });
    expect(found).toMatchObject({ level: 'note', found: `${directory}/bun, 1.4.5` });
  },
);

test('a trial start that fails is a problem with its reason', async () => {
  const findings = await findingsOf({ startTenant: failingTrial });
  expect(findings.filter(({ level }) => level !== 'ok')).toMatchObject([
    { check: 'trial start', level: 'problem', found: 'Setup failed: not permitted' },
  ]);
});
