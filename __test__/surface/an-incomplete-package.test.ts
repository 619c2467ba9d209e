// What a runtime needs once it is used is loaded then; a package that lacks it says so to every caller, and hangs nowhere.
import { expect, test } from 'bun:test';
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../../scripts/lib/paths.mjs';

const PROGRAM = `
import { createRuntime } from './index.js';
const runtime = createRuntime({ source: { kind: 'directory', root: '.' }, spawn: () => new Promise(() => {}) });
const why = ({ code, message }) => console.log(code, message);
await Promise.all([runtime.ensure('a').catch(why), runtime.kill('b').catch(why)]);
await runtime.ensure('c').catch(why);
await runtime.dispose().catch(why);
`;

test.each(['bun', 'node'])('%s: a package without its late part refuses every call', (program) => {
  const directory = mkdtempSync(join(tmpdir(), 'runtime-incomplete-'));
  try {
    for (const name of ['index.js', 'package.json']) copyFileSync(join(root, name), join(directory, name));
    symlinkSync(join(root, 'npm'), join(directory, 'npm'));
    writeFileSync(join(directory, 'program.mjs'), PROGRAM);
    const { stdout, exitCode } = Bun.spawnSync([program, 'program.mjs'], { cwd: directory });
    const lines = stdout.toString().trim().split('\n');
    expect(lines).toHaveLength(4);
    for (const line of lines) {
      expect(line).toMatch(
        /^ERR_RUNTIME_UNSUPPORTED @absolutejs\/runtime cannot load a part of itself: .*tenancy.*\. If it is not there, reinstall/,
      );
    }
    expect(exitCode).toBe(0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
