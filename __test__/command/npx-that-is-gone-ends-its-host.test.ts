// npm passes SIGTERM on to a shell of its own, which ends alone: the host must not go on unseen.
import { spawn } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'bun:test';
import { isForHost } from '../../lib/command/serve/starter.js';
import { Command, directory, PROGRAM } from '../support/command/run.ts';
import { isThere, type Process, processOf, signal } from '../support/processes/table.ts';
import { get, tenantsOf } from '../support/command/serving.ts';

const root = join(import.meta.dir, '../..');

/** A project that has the package installed. */
function project(path: string, script: string) {
  const modules = join(path, 'node_modules');
  for (const name of ['@absolutejs', '.bin']) mkdirSync(join(modules, name), { recursive: true });
  symlinkSync(root, join(modules, '@absolutejs/runtime'));
  symlinkSync(PROGRAM, join(modules, '.bin/absolutejs-runtime'));
  const dependencies = { '@absolutejs/runtime': '*' };
  writeFileSync(join(path, 'package.json'), JSON.stringify({ dependencies, scripts: { script } }));
}

/** A host that a test has not seen the end of does not outlive it. */
const endedAfterwards = (host: Process | undefined) => ({
  [Symbol.dispose]: () => void (host && isThere(host) && signal(host, 'SIGKILL')),
});

for (const [how, name] of [
  ['npx', 'SIGTERM'],
  ['npx', 'SIGKILL'],
  ['npm run', 'SIGTERM'],
] as const) {
  test(`${name} to ${how} ends the host in order`, async () => {
    using place = directory();
    await using tenants = tenantsOf();
    const args = ['serve', tenants.root, '--port', '0', '--control', place.socket];
    project(place.path, ['absolutejs-runtime', ...args].join(' '));
    const words =
      how === 'npx' ? ['--offline', '@absolutejs/runtime', ...args] : ['run', '--silent', 'script'];
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    const npm = spawn(how === 'npx' ? 'npx' : 'npm', words, { cwd: place.path, stdio: [...stdio] });
    const host = new Command(npm);
    const [, port] = await host.says(/:(\d+)\//);
    expect((await get(Number(port), 'hello')).status).toBe(200);
    const [, pid] = await host.says(/\(pid (\d+), /, 'stderr');
    using _ = endedAfterwards(processOf(Number(pid)));
    npm.kill(name);
    const starter = how === 'npx' ? 'npx' : 'npm run script';
    await host.says(new RegExp(`${starter} has gone: ends in order`), 'stderr');
    // Its pipes are closed with the host, which has them as well.
    await host.ended;
    expect(tenants.processes()).toEqual([]);
  });
}

test('a script that leaves it in the background on purpose does not end it', () => {
  for (const script of [
    'absolutejs-runtime',
    'absolutejs-runtime serve ./tenants 2>&1',
    'npm run build && absolutejs-runtime serve',
    'NODE_ENV=production npx @absolutejs/runtime serve &> log',
  ]) {
    expect([script, isForHost(script)]).toEqual([script, true]);
  }
  for (const script of [
    'absolutejs-runtime serve ./tenants &',
    'nohup absolutejs-runtime serve > log 2>&1 & echo started',
    './deploy.sh',
  ]) {
    expect([script, isForHost(script)]).toEqual([script, false]);
  }
});
