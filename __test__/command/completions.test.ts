import { expect, test } from 'bun:test';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fakeHost, running } from '../support/command/fake-host.mjs';
import { directory, PROGRAM, run, shell } from '../support/command/run.ts';

/** What bash offers for the last word of a line. */
async function offered(line: string, cwd: string, control = '/none') {
  const words = line.split(' ');
  const script = `
    absolutejs-runtime() { bun ${PROGRAM} "$@"; }
    source <(absolutejs-runtime completions bash)
    COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
    _absolutejs_runtime; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const env = { ABSOLUTE_RUNTIME_CONTROL: control };
  const { stdout } = await shell(script, { cwd, env });
  return stdout.split('\n').filter(Boolean);
}

test('bash: commands, flags, their values, directories', async () => {
  using place = directory();
  const cwd = place.path;
  expect(await offered('absolutejs-runtime re', cwd)).toEqual(['restart', 'replace']);
  expect(await offered('absolutejs-runtime ps --st', cwd)).toEqual(['--state']);
  expect(await offered('absolutejs-runtime ps --state s', cwd)).toEqual([
    'stopped',
    'starting',
    'stopping',
  ]);
  expect(await offered('absolutejs-runtime completions z', cwd)).toEqual(['zsh']);
  expect(await offered('absolutejs-runtime doctor --t', cwd)).toEqual(['--tenants']);
});

test('bash: keys of tenants, which are never run', async () => {
  using place = directory();
  const key = '$(touch pwned)`touch pwned`;x y';
  const host = await fakeHost(place.socket, { tenants: [running('shop'), running(key)] });
  const keys = await offered('absolutejs-runtime logs ', place.path, place.socket);
  await host.close();
  expect(keys).toContain('shop');
  expect(keys.join('\n')).toContain('\\$\\(touch\\ pwned\\)');
  expect(existsSync(join(place.path, 'pwned'))).toBeFalse();
});

for (const [name, check] of [
  ['bash', 'bash -n'],
  ['zsh', 'zsh -n'],
  ['fish', 'fish --no-execute'],
] as const) {
  test.skipIf(Bun.which(name) === null)(`${name} can read its completions`, async () => {
    using place = directory();
    const { stdout } = await run(['completions', name]);
    writeFileSync(join(place.path, 'script'), stdout);
    const { code, stderr } = await shell(`${check} script`, { cwd: place.path });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
}
