import { expect, test } from 'bun:test';
import { type Files, finding } from '../support/surface/injected-host.ts';

test('root is a warning: tenants run as the user that the host runs as', async () => {
  expect(await finding('user', { uid: 0 })).toMatchObject({ level: 'warning', found: 'root' });
  expect(await finding('user', { uid: 1000 })).toMatchObject({ level: 'ok', found: 'uid 1000' });
});

test.each([
  ['Docker', { files: { '/.dockerenv': '' } }],
  ['Podman', { files: { '/run/.containerenv': '' } }],
  ['Kubernetes', { env: { KUBERNETES_SERVICE_HOST: '10.0.0.1', PATH: '/opt/bun/bin' } }],
  ['systemd-nspawn', { env: { container: 'systemd-nspawn', PATH: '/opt/bun/bin' } }],
  ['kubepods', { files: { '/proc/1/cgroup': '0::/kubepods/pod1/abc\n' } }],
])('a container is recognised: %s', async (kind, changes) => {
  expect(await finding('container', changes)).toMatchObject({ level: 'note', found: kind });
});

const zombie = (pid: number, parent: number): Files => ({
  [`/proc/${pid}/stat`]: `${pid} (a) Z) Z ${parent} 1`,
});

test("a proxy that Bun's fetch would send tenants' requests to is a warning", async () => {
  const PATH = '/opt/bun/bin';
  for (const name of ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy']) {
    const env = { PATH, [name]: 'http://proxy.example:3128' };
    expect(await finding('proxy', { env })).toMatchObject({ level: 'warning', found: `${name} is set` });
    for (const exceptions of ['*', '127.0.0.1', 'localhost, 127.0.0.1,[::1]']) {
      expect((await finding('proxy', { env: { ...env, NO_PROXY: exceptions } })).level).toBe('ok');
      // The lower-case name comes first.
      const both = { ...env, NO_PROXY: exceptions, no_proxy: 'example.com' };
      expect((await finding('proxy', { env: both })).level).toBe('warning');
    }
  }
});

test('ended processes that PID 1 leaves unreaped are a warning', async () => {
  const files = { ...zombie(50, 1), ...zombie(51, 1), ...zombie(52, 7), '/proc/1/comm': 'sh\n' };
  expect(await finding('PID 1', { files })).toMatchObject({
    level: 'warning',
    found: 'sh, with 2 ended processes unreaped',
    advice: expect.stringContaining('--init'),
  });
});

test('an ended process that is reaped a moment later is none', async () => {
  const files: Files = { ...zombie(50, 1) };
  let hasPaused = false;
  const pause = async () => void (hasPaused = true);
  const list = (path: string) => (path === '/proc' && !hasPaused ? ['1', '50'] : ['1']);
  expect(await finding('PID 1', { files, pause, list })).toMatchObject({ level: 'ok', found: 'systemd' });
});

test('a program as PID 1 is a warning before it has left anything unreaped', async () => {
  for (const name of ['node', 'bun', 'npm start']) {
    expect((await finding('PID 1', { files: { '/proc/1/comm': `${name}\n` } })).level).toBe('warning');
  }
  expect((await finding('PID 1', { files: { '/proc/1/comm': 'nodeagent\n' } })).level).toBe('ok');
});
