// Texts that tell an operator to change an option name what stands in their command line, variables or file.
import { expect, test } from 'bun:test';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inTerms } from '../../lib/control/terms.js';
import { namesIn, optionNames } from '../../lib/command/serve/terms.js';
import { readSettings } from '../../lib/command/settings.js';
import { directory, run } from '../support/command/run.ts';
import { get, serve, tenantsOf } from '../support/command/serving.ts';
import { canLimitTrees } from '../support/processes/index.ts';

const SOURCES = [
  'errors.js',
  'survive/option.js',
  'tenant/settings.js',
  'control/words.js',
  'control/failures.js',
];
const RUST = [
  'crates/warden/src/start_script.rs',
  'crates/linux/src/warden_link/run.rs',
  'crates/linux/src/confine/walls.rs',
  'crates/linux/src/confine/neighbours.rs',
  'crates/linux/src/confine/place/explain.rs',
];
const LIBRARY =
  /limits\.\w+|isolation\.\w+|survive\.\w+|idleAfterMs|maxConcurrent|\w+TimeoutMs|the option `\w+`/;
const root = join(import.meta.dir, '../..');

/** The names that `serve` gives options with these settings, said by their sources. */
async function namesWith(
  config: string,
  said: Record<string, object> = {},
  { flags = {}, env = {} }: { flags?: Record<string, string>; env?: Record<string, string> } = {},
) {
  using place = directory();
  mkdirSync(join(place.path, 'tenants'));
  if (config !== '')
    writeFileSync(join(place.path, 'runtime.config.mjs'), `export default ${config}`);
  const settings = await readSettings({ flags, directory: undefined, env, cwd: place.path });
  const byKey = new Map(Object.entries(said).map(([key, given]) => [key, namesIn(given)]));
  return optionNames(() => settings, byKey);
}

test('an option is named by where it was set, or can be', async () => {
  const plain = await namesWith('');
  expect(plain('limits.memoryBytes', 'hello')).toBe('--memory');
  expect(plain('idleAfterMs', null)).toBe('--idle');
  expect(plain('limits.openFiles', 'hello')).toBe('limits.openFiles of tenant() in a config file');
  const env = { ABSOLUTE_RUNTIME_CPUS: '2' };
  const said = { big: { memory: '2G' }, exact: { limits: { memoryBytes: 1e9 } } };
  const config = `{ memory: '1G', tenant: () => ({}) }`;
  const mixed = await namesWith(config, said, { env, flags: { processes: '9' } });
  expect(mixed('limits.memoryBytes', 'hello')).toBe('memory in runtime.config.mjs');
  expect(mixed('limits.cpus', 'hello')).toBe('ABSOLUTE_RUNTIME_CPUS');
  expect(mixed('limits.processes', 'hello')).toBe('--processes');
  expect(mixed('limits.memoryBytes', 'big')).toBe('memory of tenant("big") in runtime.config.mjs');
  expect(mixed('limits.memoryBytes', 'exact')).toBe(
    'limits.memoryBytes of tenant("exact") in runtime.config.mjs',
  );
});

test('what tenant says of one is named once', async () => {
  const said = { bad: { limits: { cpus: -1 }, isolation: { read: 1 } } };
  const optionName = await namesWith('{ tenant: () => ({}) }', said);
  for (const option of ['limits.cpus', 'isolation.read']) {
    expect(inTerms(`tenant("bad").${option} must be else`, optionName, 'bad')).toBe(
      `${option} of tenant("bad") in runtime.config.mjs must be else`,
    );
  }
});

test('no text that a host shows has a name of the library left', async () => {
  const optionName = await namesWith('');
  const files = [...SOURCES.map((name) => `lib/${name}`), ...RUST];
  const texts = files.flatMap((file) =>
    readFileSync(join(root, file), 'utf8')
      .split('#[cfg(test)]')[0]!
      .split('\n')
      .filter((line) => !/^\s*(?:\/\/|\*|\/\*)/.test(line))
      .flatMap((line) => line.match(/(["'`])(?:\\.|(?!\1).)*\1/g) ?? []),
  );
  const naming = texts.filter((text) => LIBRARY.test(text) && /\s/.test(text));
  expect(naming.length).toBeGreaterThan(5);
  for (const text of naming) {
    const told = inTerms(text, optionName, null).replaceAll(
      /\S+ of tenant\(\) in a config file/g,
      '',
    );
    expect({ text, named: LIBRARY.test(told) }).toEqual({ text, named: false });
  }
});

test('a tenant whose own env takes away PATH is told where that is said', async () => {
  using place = directory();
  await using tenants = tenantsOf();
  const said = `{ command: ['no-such-program'], env: { PATH: undefined } }`;
  writeFileSync(
    join(place.path, 'runtime.config.mjs'),
    `export default { tenant: (key) => (key === 'hello' ? ${said} : {}) }`,
  );
  const { host, control } = await serve(place, tenants.root);
  const { stderr } = await run(['start', 'hello', ...control]);
  expect(stderr).toContain(
    'its environment has no PATH (No such file or directory (os error 2)): let env of ' +
      'tenant("hello") in runtime.config.mjs give it one, such as the host\'s',
  );
  await host.end('SIGTERM');
});

test('what serve, ps and the actions say of options is what can be typed', async () => {
  using place = directory();
  await using tenants = tenantsOf().add('empty', { 'package.json': '{}' });
  const { host, port, control } = await serve(place, tenants.root, ['--max', '1']);
  expect((await get(port, 'empty')).status).toBe(502);
  const ps = await run(['ps', 'empty', ...control]);
  expect(ps.stdout).toContain('or set command of tenant() in a config file');
  await run(['start', 'hello', ...control]);
  const { stderr } = await run(['replace', 'hello', ...control]);
  expect(stderr).toBe(
    'no room beside tenant "hello" for the process that is to replace it: a larger --max has room for both\n',
  );
  await host.end('SIGTERM');
});

test.skipIf(!canLimitTrees)(
  'a tenant that has no room in its memory is told with the flag, or its own setting',
  async () => {
    using place = directory();
    const fat = `
    const all = [];
    for (let count = 0; count < 400; count += 1) all.push(new Uint8Array(1 << 20).fill(1));
    setInterval(() => all.length, 1_000);
  `;
    await using tenants = tenantsOf()
      .add('fat', { 'server.ts': fat })
      .add('own', { 'server.ts': fat });
    const config = `{ tenant: (key) => (key === 'own' ? { memory: '130M' } : {}) }`;
    writeFileSync(join(place.path, 'runtime.config.mjs'), `export default ${config}`);
    const { host, control } = await serve(place, tenants.root, ['--memory', '120M']);
    const advice = async (key: string) => {
      await run(['start', key, ...control]);
      const { stdout } = await run(['inspect', key, '--json', ...control]);
      return JSON.parse(stdout).problem.advice;
    };
    expect(await advice('fat')).toContain('raise --memory, or find what grows');
    expect(await advice('own')).toContain(
      'raise memory of tenant("own") in runtime.config.mjs, or find what grows',
    );
    await host.end('SIGTERM');
  },
);
