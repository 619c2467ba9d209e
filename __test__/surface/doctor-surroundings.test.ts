import { expect, test } from 'bun:test';
import { finding } from '../support/surface/injected-host.ts';

test('root is a warning: tenants run as the user that the host runs as', async () => {
  expect(await finding('user', { uid: 0 })).toMatchObject({ level: 'warning', found: 'root' });
  expect(await finding('user', { uid: 1000 })).toMatchObject({ level: 'ok', found: 'uid 1000' });
});

const has = (file: string) => (path: string) => path === file || path.endsWith('/warden');

test.each([
  ['Docker', { exists: has('/.dockerenv') }],
  ['Podman', { exists: has('/run/.containerenv') }],
  ['Kubernetes', { env: { KUBERNETES_SERVICE_HOST: '10.0.0.1', PATH: '/opt/bun/bin' } }],
  ['systemd-nspawn', { env: { container: 'systemd-nspawn', PATH: '/opt/bun/bin' } }],
  ['kubepods', { facts: { init: { groups: ['/kubepods/pod1/abc'] } } }],
])('a container is recognised: %s', async (kind, changes) => {
  expect(await finding('container', changes)).toMatchObject({ level: 'note', found: kind });
});

test("a proxy that Bun's fetch would send tenants' requests to is a warning", async () => {
  const PATH = '/opt/bun/bin';
  for (const name of ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy']) {
    const env = { PATH, [name]: 'http://proxy.example:3128' };
    expect(await finding('proxy', { env })).toMatchObject({
      level: 'warning',
      found: `${name} is set`,
    });
    for (const exceptions of ['*', '127.0.0.1', 'localhost, 127.0.0.1,[::1]']) {
      expect((await finding('proxy', { env: { ...env, NO_PROXY: exceptions } })).level).toBe('ok');
      // The lower-case name comes first.
      const both = { ...env, NO_PROXY: exceptions, no_proxy: 'example.com' };
      expect((await finding('proxy', { env: both })).level).toBe('warning');
    }
  }
});

test('ended processes that PID 1 leaves unreaped are a warning', async () => {
  const facts = { init: { name: 'sh', unreaped: [50, 51] } };
  expect(await finding('PID 1', { facts })).toMatchObject({
    level: 'warning',
    found: 'sh, with 2 ended processes unreaped',
    advice: expect.stringContaining('--init'),
  });
});

test('an ended process that is reaped a moment later is none', async () => {
  const init = { unreaped: [50] };
  const pause = async () => void (init.unreaped = [51]);
  expect(await finding('PID 1', { facts: { init }, pause })).toMatchObject({
    level: 'ok',
    found: 'systemd',
  });
});

test('a program as PID 1 is a warning before it has left anything unreaped', async () => {
  for (const name of ['node', 'bun', 'npm start']) {
    expect((await finding('PID 1', { facts: { init: { name } } })).level).toBe('warning');
  }
  expect((await finding('PID 1', { facts: { init: { name: 'nodeagent' } } })).level).toBe('ok');
});

test('a directory for temporary files from which no program runs is noted', async () => {
  const temporary = { path: '/srv/tmp', isNoexec: true };
  expect(await finding('temporary files', { facts: { temporary } })).toMatchObject({
    level: 'note',
    found: '/srv/tmp is mounted noexec',
    advice: expect.stringContaining('TMPDIR'),
  });
});
