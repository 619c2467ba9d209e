// A host made by `bun build --compile` runs in Bun, but its executable starts the host again: it
// must never be used as the `bun` of its tenants.
import { expect, test } from 'bun:test';
import { linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';
import { binDirectory, Tenants } from '../support/processes/index.ts';

/** Records each start of itself, and stops at the fifth. */
const HOST = `
import { createRuntime } from '@absolutejs/runtime';
import { appendFileSync, readFileSync } from 'node:fs';
const [starts, root] = [process.env.STARTS, process.env.ROOT];
appendFileSync(starts, process.argv.join(' ') + '\\n');
if (readFileSync(starts, 'utf8').split('\\n').length > 5) process.exit(7);
const runtime = createRuntime({ source: { kind: 'directory', root }, env: { PATH: process.env.PATH, STARTS: starts, ROOT: root } });
await runtime.ensure('app').then(
  async ({ port }) => console.log(await (await fetch('http://127.0.0.1:' + port)).text()),
  (error) => console.log(error.code, error.key, error.message),
);
await runtime.dispose();
`;

const WITHOUT_BUN = '/usr/bin:/bin';
const hasBunThere = Bun.which('bun', { PATH: WITHOUT_BUN }) !== null;

test.skipIf(hasBunThere)(
  'without a Bun on PATH starts are refused, and with one they work',
  async () => {
    await using tenants = new Tenants().add('app');
    const project = join(tenants.root, 'project');
    const scope = join(project, 'node_modules', '@absolutejs');
    mkdirSync(scope, { recursive: true });
    symlinkSync(root, join(scope, 'runtime'));
    for (const triple of readdirSync(join(root, 'npm'))) {
      symlinkSync(join(root, 'npm', triple), join(scope, `runtime-${triple}`));
    }
    tenants.write('project/host.ts', HOST);
    const built = Bun.spawnSync(
      [process.execPath, 'build', '--compile', 'host.ts', '--outfile', 'compiled'],
      {
        cwd: project,
      },
    );
    expect(built.exitCode, built.stderr.toString()).toBe(0);

    const starts = join(tenants.root, 'starts');
    const run = (PATH: string) => {
      const env = { PATH, STARTS: starts, ROOT: tenants.root };
      const { stdout, stderr } = Bun.spawnSync([join(project, 'compiled')], {
        cwd: project,
        env,
        timeout: 20_000,
      });
      return stdout.toString().trim() || stderr.toString();
    };
    const refused =
      /^ERR_RUNTIME_SPAWN app there is no bun on PATH .* `bun build --compile`, cannot take its place/;
    expect(run(WITHOUT_BUN)).toMatch(refused);
    // A program named `bun` on PATH.
    mkdirSync(join(project, 'bin'));
    linkSync(join(project, 'compiled'), join(project, 'bin', 'bun'));
    expect(run(`${project}/bin:${WITHOUT_BUN}`)).toMatch(refused);
    expect(readFileSync(starts, 'utf8').trim().split('\n')).toHaveLength(2);
    expect(run(`${binDirectory}:${WITHOUT_BUN}`)).toBe('hello');
  },
);
