/**
 * Programs that run within walls as they are. Their packages are installed once, below `target/`,
 * and copied into the tenant's directory.
 */
import { expect, test } from 'bun:test';
import type { RuntimeOptions } from '@absolutejs/runtime';
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { keepsAll, WALLS } from './kernel.ts';
import { createPool, textOf } from '../processes/index.ts';

const INSTALLED = join(import.meta.dir, '..', '..', '..', 'target', 'frameworks');
const INSTALL_TIMEOUT_MS = 300_000;
const OWN_USER = 48_290;

/** Walls that a program must run within. */
const walls: Record<string, RuntimeOptions['isolation']> = {
  'within walls': WALLS,
  ...(process.getuid?.() === 0 && {
    'with a user of its own': { ...WALLS, user: { uid: OWN_USER, gid: OWN_USER } },
  }),
};

export type Program = {
  /** What is tested. */
  name: string;
  files: Record<string, string>;
  command?: readonly string[];
  /** Of npm, with their versions. */
  packages?: Record<string, string>;
  /** Run outside the walls in the directory where the packages are, once. */
  build?: readonly string[];
  /** What of that directory the tenant gets; all of it by default. */
  built?: string;
  /** What is asked of the tenant, and what its answer has in it. */
  asks: Record<string, string | RegExp>;
  env?: Record<string, string>;
};

/** Defines a test for each kind of walls, or one that is skipped and says why. */
export async function runsWithinWalls(program: Program): Promise<void> {
  const { name, files, command = ['bun', 'server.ts'], asks, env } = program;
  const origin = await install(program).catch((error: Error) => error);
  if (origin instanceof Error) {
    test.skip(`${name} (npm could not install it: ${origin.message.split('\n')[0]})`, () => {});
    return;
  }
  for (const [kind, isolation] of Object.entries(walls)) {
    test(`${name} runs ${kind}`, async () => {
      await using pool = createPool({
        command,
        isolation,
        ...(env && { env: { PATH: process.env.PATH ?? '', ...env } }),
      });
      const directory = join(pool.tenants.root, 'app');
      if (origin) fs.cpSync(origin, directory, { recursive: true, verbatimSymlinks: true });
      for (const [file, text] of Object.entries(files)) pool.tenants.write(join('app', file), text);
      if (kind === 'with a user of its own') giveAway(pool.tenants.root, directory);
      const tenant = await pool.runtime.ensure('app').catch((error) => {
        throw new Error(`${error.message}\n${pool.events.lines().join('\n')}`);
      });
      for (const [path, wanted] of Object.entries(asks)) {
        const answer = await textOf(tenant, path);
        if (typeof wanted === 'string') expect(answer).toContain(wanted);
        else expect(answer).toMatch(wanted);
      }
      const isolated = pool.runtime.inspect('app')?.isolation;
      expect(isolated?.seccomp).toBeTrue();
      if (keepsAll) expect(isolated?.missing).toEqual([]);
      await pool.dispose();
    });
  }
}

function giveAway(root: string, directory: string): void {
  fs.chmodSync(root, 0o755);
  fs.chownSync(directory, OWN_USER, OWN_USER);
  for (const name of fs.readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    fs.lchownSync(join(directory, name), OWN_USER, OWN_USER);
  }
}

/** The directory with the packages, installed and built if it was not yet; none without any. */
async function install({ name, packages, build, built, files }: Program) {
  if (!packages) return undefined;
  const versions = Object.entries(packages).map((entry) => entry.join('-'));
  const directory = join(INSTALLED, versions.join('_').replaceAll(/[@/]/g, ''));
  const [done, origin] = [join(directory, '.done'), join(directory, built ?? '')];
  if (fs.existsSync(done)) return origin;
  fs.rmSync(directory, { recursive: true, force: true });
  fs.mkdirSync(directory, { recursive: true });
  const manifest = { name: 'app', private: true, type: 'module', dependencies: packages };
  fs.writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest));
  console.log(`installing ${name} …`);
  const flags = ['--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'];
  await run('npm', ['install', ...flags], directory);
  if (build) {
    for (const [file, text] of Object.entries(files)) {
      fs.mkdirSync(join(directory, file, '..'), { recursive: true });
      fs.writeFileSync(join(directory, file), text);
    }
    const [program = '', ...args] = build;
    await run(program, args, directory);
  }
  fs.writeFileSync(done, '');
  return origin;
}

async function run(program: string, args: string[], cwd: string): Promise<void> {
  const path = `${join(cwd, 'node_modules', '.bin')}:${process.env.PATH}`;
  const env = { ...process.env, PATH: path, NEXT_TELEMETRY_DISABLED: '1' };
  await promisify(execFile)(program, args, { cwd, env, timeout: INSTALL_TIMEOUT_MS });
}
