// `bun --watch` runs the program again in the same process, whose children stay, the old warden
// included.
import { expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import {
  Host,
  processes,
  Tenants,
  until,
  untilGone,
  wardenOf,
} from '../support/processes/index.ts';

const HOST = (version: number, tenants: string) => `
import { createRuntime } from '@absolutejs/runtime';
const runtime = createRuntime({ source: { kind: 'directory', root: '${tenants}' } });
console.log('version${version}', (await runtime.ensure('app')).pid);
`;

test('after each reload there is one warden, and no zombie', async () => {
  await using tenants = new Tenants().add('app');
  const checkout = join(import.meta.dir, '..', '..');
  const write = (version: number) => tenants.write('host.mjs', HOST(version, tenants.root));
  tenants.write(
    'node_modules/@absolutejs/runtime/package.json',
    '{"type":"module","main":"index.js"}',
  );
  tenants.write(
    'node_modules/@absolutejs/runtime/index.js',
    `export * from '${checkout}/dist/index.js';`,
  );
  write(1);
  const command = ['--watch', '--no-clear-screen', join(tenants.root, 'host.mjs')];
  await using host = new Host(
    spawn(process.execPath, command, { stdio: ['pipe', 'pipe', 'pipe'] }),
  );
  await host.said('version1');
  for (const version of [2, 3, 4]) {
    const before = await until('a warden', () => wardenOf(host.pid));
    write(version);
    await host.said(`version${version}`);
    await untilGone('the warden of before', [before]);
  }
  const wardens = processes().filter(
    ({ parent, name }) => parent === host.pid && name === 'abs-warden',
  );
  expect(wardens.map(({ state }) => state)).toEqual([expect.not.stringMatching('Z')]);
  const left = wardens;
  host.kill('SIGKILL');
  await host.exited;
  await until('all is gone', () =>
    left.every(({ pid }) => !processes().some((now) => now.pid === pid && now.state !== 'Z')),
  );
});
