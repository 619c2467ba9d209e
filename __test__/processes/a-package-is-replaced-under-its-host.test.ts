// The package of a running host is deleted or replaced: the host keeps the warden that it began
// with.
import { expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';
import {
  engineNames,
  engines,
  Host,
  Tenants,
  untilGone,
  wardenOf,
} from '../support/processes/index.ts';

const HOST = `
import { createRuntime } from './dist/index.js';
import { createInterface } from 'node:readline';
const runtime = createRuntime({
  source: { kind: 'directory', root: process.argv[2] },
  command: ['sh', '-c', 'exec sleep 1000'],
  readiness: async () => true,
});
for await (const key of createInterface(process.stdin)) {
  if (key === 'end') break;
  await runtime.ensure(key).then(
    () => console.log(key + ' started'),
    ({ code, message }) => console.log(key + ' ' + code + ' ' + message),
  );
}
await runtime.dispose();
process.exit();
`;

/** Copies the parts of the package that a host needs. */
function copyPackage(directory: string) {
  mkdirSync(directory, { recursive: true });
  for (const name of ['dist', 'package.json', 'npm']) {
    cpSync(join(root, name), join(directory, name), { recursive: true });
  }
  writeFileSync(join(directory, 'host.mjs'), HOST);
}

const wardensIn = (directory: string) =>
  readdirSync(join(directory, 'npm')).map((triple) => join(directory, 'npm', triple, 'warden'));

for (const engine of engineNames) {
  test(`${engine}: deleted, and replaced`, async () => {
    await using tenants = new Tenants().add('one').add('two').add('three');
    const directory = join(tenants.root, 'package');
    copyPackage(directory);
    const command = [join(directory, 'host.mjs'), tenants.root];
    await using host = new Host(
      spawn(engines[engine], command, { stdio: ['pipe', 'pipe', 'pipe'] }),
    );
    const loseWarden = async () => {
      const warden = wardenOf(host.pid)!;
      process.kill(warden.pid, 'SIGKILL');
      await untilGone('the warden', [warden]);
    };
    host.say('one');
    expect(await host.said('one')).toBe('started');

    rmSync(directory, { recursive: true });
    await loseWarden();
    host.say('two');
    expect(await host.said('two')).toBe('started');

    copyPackage(directory);
    for (const warden of wardensIn(directory))
      writeFileSync(warden, '#!/bin/sh\n', { mode: 0o755 });
    await loseWarden();
    host.say('three');
    expect(await host.said('three')).toBe('started');
    host.say('end');
    expect((await host.end()).code).toBe(0);
  });

  test(`${engine}: overwritten`, async () => {
    await using tenants = new Tenants().add('one');
    const directory = join(tenants.root, 'package');
    copyPackage(directory);
    const command = [join(directory, 'host.mjs'), tenants.root];
    await using host = new Host(
      spawn(engines[engine], command, { stdio: ['pipe', 'pipe', 'pipe'] }),
    );
    // An invalid key: the package is loaded, and no warden runs.
    host.say('../outside');
    await host.said('../outside');
    for (const warden of wardensIn(directory)) writeFileSync(warden, '#!/bin/sh\n');
    host.say('one');
    expect(await host.said('one')).toMatch(
      /^ERR_RUNTIME_SPAWN .*overwritten.*start the process anew/,
    );
    host.say('end');
    expect((await host.end()).code).toBe(0);
  });
}
