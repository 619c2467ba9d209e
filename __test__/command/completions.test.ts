import { expect, test } from 'bun:test';
import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fakeHost, running } from '../support/command/fake-host.mjs';
import { directory, PATH, PROGRAM, run, shell } from '../support/command/run.ts';
import { Terminal } from '../support/command/terminal.ts';

/** What a shell that ran it would leave a file of. */
const HOSTILE = '$(touch pwned)`touch pwned`;x y';

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
  expect(await offered('absolutejs-runtime drain --h', cwd)).toEqual(['--host', '--help']);
});

test('bash: keys of tenants, which are never run', async () => {
  using place = directory();
  const host = await fakeHost(place.socket, { tenants: [running('shop'), running(HOSTILE)] });
  const keys = await offered('absolutejs-runtime logs ', place.path, place.socket);
  // It has a value with `serve` alone.
  const after = await offered('absolutejs-runtime ps --fleet ', place.path, place.socket);
  await host.close();
  expect(after.slice(0, 2)).toEqual(keys.slice(0, 2));
  expect(keys).toContain('shop');
  expect(keys.join('\n')).toContain('\\$\\(touch\\ pwned\\)');
  expect(existsSync(join(place.path, 'pwned'))).toBeFalse();
});

test('bash: a key that looks like a flag is offered after -- alone, where flags are not', async () => {
  using place = directory();
  const host = await fakeHost(place.socket, { tenants: [running('shop'), running('-n')] });
  const after = (line: string) => offered(`absolutejs-runtime ${line}`, place.path, place.socket);
  expect(await after('logs -')).not.toContain('-n');
  expect(await after('logs ')).not.toContain('-n');
  expect(await after('logs -- -')).toEqual(['-n']);
  expect((await after('logs -- ')).toSorted()).toEqual(['-n', 'shop']);
  await host.close();
});

/** A directory with the command under its own name, which shells look for in PATH. */
function withCommand(place: { path: string; socket: string }) {
  const file = join(place.path, 'absolutejs-runtime');
  writeFileSync(file, `#!/bin/sh\nexec bun ${PROGRAM} "$@"\n`, { mode: 0o755 });
  return { PATH: `${place.path}${delimiter}${PATH}`, ABSOLUTE_RUNTIME_CONTROL: place.socket };
}

/** Keys as a stranger could name them, and one that is a command as well. */
const KEYS = ['shop', 'show room', HOSTILE, 'ps', "it's", 'a:b', '[x]', '~root', 'org/app'];
/** One that is a key after `--` alone. */
const FLAG = '-flag';

test('fish: commands, flags, their values, keys', async () => {
  using place = directory();
  const env = withCommand(place);
  const host = await fakeHost(place.socket, {
    tenants: [...KEYS, FLAG].map((key) => running(key)),
  });
  const lines = ['re', 'ps --st', 'ps --state s', 'completions z', 'doctor --t', 'help res'];
  const asked = [...lines, 'logs ', 'logs ps --st', 'logs -- ', 'logs -- -'].map(
    (line) => `complete -C ${JSON.stringify(`absolutejs-runtime ${line}`)}; echo ---`,
  );
  const script = `absolutejs-runtime completions fish | source; ${asked.join('; ')}`;
  const { stdout, stderr } = await shell(`fish --no-config -c '${script}'`, {
    cwd: place.path,
    env,
  });
  await host.close();
  expect(stderr).toBe('');
  const words = stdout.split('---\n').map((part) =>
    part
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split('\t')[0]),
  );
  expect(words.slice(0, lines.length)).toEqual([
    ['replace', 'restart'],
    ['--state'],
    ['starting', 'stopped', 'stopping'],
    ['zsh'],
    ['--tenants'],
    ['restart'],
  ]);
  expect(words[lines.length]?.toSorted()).toEqual(KEYS.toSorted() as string[]);
  // A tenant that is called as a command is none.
  expect(words[lines.length + 1]).toEqual(['--stream']);
  expect(words[lines.length + 2]?.toSorted()).toEqual([...KEYS, FLAG].toSorted() as string[]);
  expect(words[lines.length + 3]).toEqual([FLAG]);
  expect(existsSync(join(place.path, 'pwned'))).toBeFalse();
});

for (const how of ['sourced', 'found in $fpath'] as const) {
  test(`zsh, ${how}: commands, flags, their values, keys`, async () => {
    using place = directory();
    const env = withCommand(place);
    const host = await fakeHost(place.socket, {
      tenants: [...KEYS, FLAG].map((key) => running(key)),
    });
    using terminal = new Terminal(110, 20, { env });
    const { stdout } = await run(['completions', 'zsh']);
    writeFileSync(join(place.path, '_absolutejs-runtime'), stdout);
    terminal.type(`cd ${place.path} && exec zsh -f -i`);
    const load = how === 'sourced' ? 'source ./_absolutejs-runtime' : ':';
    if (how !== 'sourced') terminal.type('fpath=($PWD $fpath)');
    terminal.type(`autoload -Uz compinit && compinit -u -D && ${load} && clear && print go on`);
    await terminal.shows(/^go on$/m);
    /** What the line has become after a tab, and what is listed below it. */
    const completed = async (line: string, shown: RegExp) => {
      terminal.press('C-l');
      terminal.write(`absolutejs-runtime ${line}`);
      terminal.press('Tab');
      await terminal.shows(shown);
      terminal.press('C-u');
    };
    await completed('re', /replace +-- starts a new .*\nrestart +-- stops it/);
    await completed('ps --st', /ps --state/);
    await completed('ps --state s', /ps --state st/);
    await completed('completions z', /completions zsh/);
    await completed('doctor --t', /doctor --tenants/);
    await completed('logs -', /--follow +-f +-- goes on with what comes/);
    await completed('logs -n 5 org', /logs -n 5 org\/app/);
    await completed('logs sh', /logs sho/);
    await completed('logs \\$', /logs \\\$\\\(touch\\ pwned\\\)\\`touch\\ pwned\\`\\;x\\ y/);
    await completed('logs it', /logs it\\'s/);
    await completed('logs -- -', /logs -- -flag/);
    // What is typed after a tab that has completed nothing comes at once.
    terminal.press('C-l');
    terminal.write('absolutejs-runtime logs -fl');
    terminal.press('Tab');
    terminal.write('x');
    await terminal.shows(/logs -flx/);
    terminal.press('C-u');
    await host.close();
    expect(existsSync(join(place.path, 'pwned'))).toBeFalse();
  });
}

for (const [name, check] of [
  ['bash', 'bash -n'],
  ['zsh', 'zsh -n'],
  ['fish', 'fish --no-execute'],
] as const) {
  test(`${name} can read its completions`, async () => {
    using place = directory();
    const { stdout } = await run(['completions', name]);
    writeFileSync(join(place.path, 'script'), stdout);
    const { code, stderr } = await shell(`${check} script`, { cwd: place.path });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
}
