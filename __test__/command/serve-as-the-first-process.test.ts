// `serve` as the first process of a pid namespace, as a container without an init runs it: signals
// that it does not take are not delivered, and orphans are its children.
import { expect, test } from 'bun:test';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import {
  Command,
  directory,
  ENGINES,
  type Engine,
  PATH,
  PROGRAM,
  run,
} from '../support/command/run.ts';
import { get } from '../support/command/serving.ts';
import { untilGone } from '../support/processes/table.ts';
import { Tenants } from '../support/processes/tenants.ts';
import { until } from '../support/processes/until.ts';

const AS_ROOT = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
const CONTAINED = [...AS_ROOT, '--mount', '--mount-proc', '--pid', '--fork', '--kill-child'];
const isRefused = spawnSync('unshare', [...CONTAINED, 'true']).status !== 0;

/** Leaves an orphan, and answers `/held` once there is a file `go` in its directory. */
const SERVER = `
import { existsSync } from 'node:fs';
Bun.spawn(['sh', '-c', 'setsid sleep 1000 & exit 0']);
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  async fetch(request) {
    if (request.url.endsWith('/held')) while (!existsSync('go')) await Bun.sleep(5);
    return new Response('hello');
  },
});
`;

/** Its process as it is seen from outside, and where it serves. */
async function contained(engine: Engine, socket: string, root: string) {
  const serve = [engine, PROGRAM, 'serve', root, '--port', '0', '--control', socket];
  const env = { ...process.env, PATH } as Record<string, string>;
  const child = spawn('unshare', [...CONTAINED, ...serve], { env });
  const host = new Command(child);
  await host.says(/serves \(pid 1,/, 'stderr');
  const [, port] = await host.says(/:(\d+)\//);
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
  return { host, port: Number(port), first: Number(children.trim()) };
}

for (const engine of ENGINES) {
  test.skipIf(isRefused)(`${engine}: SIGTERM ends all in order`, async () => {
    using place = directory();
    await using tenants = new Tenants().add('hello', { 'server.ts': SERVER });
    const { host, port, first } = await contained(engine, place.socket, tenants.root);
    const held = get(port, 'hello', '/held');
    const ps = () => run(['ps', '--json', '--control', place.socket]);
    const isOpen = async () => JSON.parse((await ps()).stdout)[0].inFlight === 1;
    while (!(await isOpen()));

    process.kill(first, 'SIGTERM');
    await host.says(/SIGTERM: ends in order, 1 open request/, 'stderr');
    tenants.write('hello/go', '');
    expect(await (await held).text()).toBe('hello');
    expect((await host.ended).code).toBe(0);
    expect(existsSync(place.socket)).toBeFalse();
    expect(tenants.processes()).toEqual([]);
  });

  test.skipIf(isRefused)(`${engine}: SIGKILL leaves nothing, and it starts again`, async () => {
    using place = directory();
    await using tenants = new Tenants().add('hello', { 'server.ts': SERVER });
    const killed = await contained(engine, place.socket, tenants.root);
    expect((await get(killed.port, 'hello')).status).toBe(200);
    await until('the orphan', () => tenants.processes().some(({ name }) => name === 'sleep'));
    const all = tenants.processes();
    process.kill(killed.first, 'SIGKILL');
    await killed.host.ended;
    await untilGone('what was in the namespace', all);

    const next = await contained(engine, place.socket, tenants.root);
    expect((await get(next.port, 'hello')).status).toBe(200);
    process.kill(next.first, 'SIGTERM');
    expect((await next.host.ended).code).toBe(0);
  });
}
