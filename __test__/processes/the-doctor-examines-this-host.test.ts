import { expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { freemem, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { readFacts } from '../../lib/doctor/facts.js';
import { startTrialTenant } from '../../lib/doctor/trial.js';
import { binDirectory, engines, markedWith } from '../support/processes/index.ts';

const program = join(import.meta.dir, '..', '..', 'bin', 'absolutejs-runtime.js');
const withBun = { ...process.env, PATH: `${binDirectory}:${process.env.PATH}`, NO_COLOR: '' };

function doctor(engine: string, args: string[], env: NodeJS.ProcessEnv = withBun) {
  const { status, stdout, stderr } = spawnSync(engine, [program, ...args], {
    env,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test.each(Object.entries(engines))('%s: tenants can run here', (_, engine) => {
  const { status, stdout, stderr } = doctor(engine, ['doctor']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(
    /✔ trial start +a tenant answered \d+ ms after it was asked for, and stopped/,
  );
  expect(stdout).toContain('this host can run tenants');
  expect(stdout).not.toContain('\x1b');
});

test('the addon tells what this machine is', () => {
  const facts = readFacts()!;
  expect(facts.machine.kernelRelease).toBe(release());
  expect(facts.memory!.totalBytes).toBe(totalmem());
  expect(facts.memory!.availableBytes).toBeWithin(freemem() / 2, totalmem());
  const ulimit = (flag: string) =>
    Number(spawnSync('bash', ['-c', `ulimit ${flag}`], { encoding: 'utf8' }).stdout);
  expect(facts.process.openFiles).toEqual({ soft: ulimit('-Sn'), hard: ulimit('-Hn') });
  expect(facts.proc).toMatchObject({ isMounted: true, listsChildren: true });
  expect(facts.init.name).toBeString();
  for (const { paths } of facts.groups.memberships)
    expect(existsSync(join(paths[0]!, 'cgroup.procs'))).toBeTrue();
});

test('what could be kept of limits and walls is told, each with its keeper or a reason', () => {
  const { limits, landlock, missing } = readFacts()!.confinement;
  expect(limits.map(({ name }) => name)).toEqual([
    'memoryBytes',
    'swapBytes',
    'cpus',
    'cpuWeight',
    'processes',
    'openFiles',
    'fileBytes',
  ]);
  for (const { by, why, change } of limits)
    expect([typeof by, typeof why, typeof change].toSorted()).toBeOneOf([
      ['string', 'undefined', 'undefined'],
      ['string', 'string', 'undefined'],
    ]);
  expect(limits.find(({ name }) => name === 'openFiles')!.by).toBe('rlimit');
  for (const { why, change } of missing)
    expect([typeof why, typeof change]).toEqual(['string', 'string']);
  if (landlock !== undefined) expect(missing.map(({ name }) => name)).not.toContain('files');
});

test('started through a link, as npx does', () => {
  const directory = mkdtempSync(join(tmpdir(), 'doctor-link-'));
  try {
    const link = join(directory, 'absolutejs-runtime');
    symlinkSync(program, link);
    const { status, stdout } = spawnSync(link, ['doctor', '--json'], {
      env: withBun,
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    expect(JSON.parse(stdout).ok).toBeTrue();
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a wrong call ends with 2 and its usage on stderr', () => {
  const { status, stdout, stderr } = doctor('node', ['docter']);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toStartWith('Unknown command: docter; did you mean doctor?\n\nUsage: ');
});

test('a Bun that cannot run tenants is seen', () => {
  const directory = mkdtempSync(join(tmpdir(), 'doctor-broken-bun-'));
  try {
    writeFileSync(join(directory, 'bun'), '#!/bin/sh\necho broken >&2\nexit 3\n');
    chmodSync(join(directory, 'bun'), 0o755);
    const { status, stdout } = doctor('node', ['doctor', '--json'], {
      ...process.env,
      PATH: `${directory}:${process.env.PATH}`,
    });
    expect(status).toBe(1);
    const { findings } = JSON.parse(stdout);
    expect(findings).toContainEqual(expect.objectContaining({ check: 'bun', level: 'warning' }));
    const trial = findings.find(({ check }: { check: string }) => check === 'trial start');
    expect(trial.level).toBe('problem');
    expect(trial.found).toMatch(/exited with code 3 before it was ready\n.*broken/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a trial start leaves nothing behind', async () => {
  const trial = await startTrialTenant([process.execPath, 'server.mjs']);
  expect(trial).toEqual({ readyMs: expect.any(Number), asksKernel: expect.any(Boolean) });
  expect(markedWith(`absolutejs-doctor-${process.pid}-`)).toEqual([]);
});
