// A mistake in a command, a flag, a variable or the config file is told with the nearest right word
// before anything is started.
import { expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { COMMANDS } from '../../lib/command/commands.js';
import { Command, directory, ENGINES, PATH, PROGRAM, run } from '../support/command/run.ts';

const wrong: [string, string][] = [
  ['', 'A command is missing.'],
  ['srve', 'Unknown command: srve; did you mean serve?'],
  ['--json ps', 'The command comes first, and flags after it; got --json.'],
  ['help inspct', 'Unknown command: inspct; did you mean inspect?'],
  ['ps --jsn', 'Unknown flag: --jsn; did you mean --json?'],
  ['ps --state runing', '--state must be stopped, starting, running'],
  ['ps --state runing', 'got runing; did you mean running?'],
  ['ps --control', '--control needs a value'],
  ['inspect', 'inspect needs KEY.'],
  ['inspect a b', 'inspect takes KEY, and not also: b'],
  ['stop', 'stop needs KEY.'],
  ['drain now', 'drain takes no argument, and not also: now'],
  ['logs --since 10', '--since must be how long ago'],
  ['logs -n many', '--lines must be a whole number from 0 to 10000, got many'],
  ['completions fih', 'Unknown shell: fih; did you mean fish?'],
  ['serve a b', 'serve takes [DIR], and not also: b'],
  [
    'serve --memory 512',
    '--memory must be a size of at least 1M, or none, got 512; did you mean 512M?',
  ],
  ['serve --memory 0', '--memory must be a size of at least 1M, or none, got 0\n'],
  ['serve --readiness-timeout 0', '--readiness-timeout must be a time of at least 1ms, got 0'],
  [
    'serve --idle 0s',
    '--idle must be a time of at least 1ms, or never, got 0s; did you mean never?',
  ],
  ['ps --sort mem', 'got mem; did you mean memory?'],
  ['help foo', 'Unknown command: foo\n'],
  ['bogus', 'Unknown command: bogus\n'],
  ['help bogus', 'Unknown command: bogus\n'],
  ['serve --memory lots', '--memory must be a size such as 512M or 1G, or none, got lots'],
  [
    'serve --idle 300',
    '--idle must be a time with its unit, or never, got 300; did you mean 300s?',
  ],
  ['serve --idle nevr', 'did you mean never?'],
  ['serve --isolation tennant', 'did you mean tenant?'],
  ['serve --route subdomian', 'did you mean subdomain?'],
  ['serve --port 70000', '--port must be a whole number from 0 to 65535, got 70000'],
  ['serve --max 0', '--max must be a whole number of at least 1, got 0'],
  ['serve --cpus all', '--cpus must be a number of cores, such as 1 or 0.5, or none, got all'],
  ['serve --trust 10.0.0.0/33', '--trust must be addresses of proxies, such as 10.0.0.0/8'],
  ['serve --dashboard here', '--dashboard must be an address with its port'],
  ['serve --tls-cert a.pem', '--tls-cert also needs --tls-key'],
  ['serve --user-range 5', '--user-range must be the first user and how many'],
  ['serve --host 127.0.0.1:3000', '--host must be an address or a name without port'],
  ['serve --domain http://x', '--domain must be a domain'],
];

for (const [line, message] of wrong) {
  test(`“${line}” ends with 2`, async () => {
    using place = directory();
    const { code, stdout, stderr } = await run(line.split(' ').filter(Boolean), {
      cwd: place.path,
    });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain('\nUsage: ');
  });
}

for (const command of ['ps', 'inspect', 'stop', 'logs', 'events', 'top']) {
  test(`${command} refuses an empty key, such as that of an unset variable`, async () => {
    const { code, stderr } = await run([command, '']);
    expect(code).toBe(2);
    expect(stderr).toStartWith(`${command} got an empty KEY.\n`);
  });
}

test('a wrong word is shown without its escapes', async () => {
  const { stderr } = await run(['\x1b]0;x\x07']);
  expect(stderr).toStartWith('Unknown command: ␛]0;x␇\n');
});

for (const engine of ENGINES) {
  test(`${engine}: all mistakes of variables and of the config file are told at once`, async () => {
    using place = directory();
    const config = { memroy: '1G', port: 'http', tenant: {} };
    writeFileSync(join(place.path, 'runtime.config.json'), JSON.stringify(config));
    const env = {
      ABSOLUTE_RUNTIME_PROT: '1',
      ABSOLUTE_RUNTIME_MAX: 'a',
      ABSOLUTE_RUNTIME_LOG: 'debug',
    };
    const { code, stderr } = await run(['serve'], { engine, env, cwd: place.path });
    expect(code).toBe(2);
    expect(stderr.split('\n').slice(0, 5).toSorted()).toEqual([
      'ABSOLUTE_RUNTIME_MAX must be a whole number of at least 1, got a',
      'Unknown variable: ABSOLUTE_RUNTIME_PROT; did you mean ABSOLUTE_RUNTIME_PORT?',
      'runtime.config.json: memroy is not a setting; did you mean memory?',
      'runtime.config.json: port must be a whole number from 0 to 65535, got http',
      'runtime.config.json: tenant must be a function of the key, got object',
    ]);
  });
}

test('a variable that means nothing is a mistake for every command', async () => {
  const { code, stderr } = await run(['ps'], { env: { ABSOLUTE_RUNTIME_CONTORL: '/x' } });
  expect(code).toBe(2);
  expect(stderr).toContain('Unknown variable: ABSOLUTE_RUNTIME_CONTORL; did you mean');
});

test('what is not there is a failure, and no wrong word', async () => {
  using place = directory();
  const cwd = place.path;
  const missing = await run(['serve'], { cwd });
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain(`There is no directory ${cwd}/tenants. Name the one`);
  const config = await run(['serve', '--config', 'none.ts'], { cwd });
  expect(config.code).toBe(1);
  expect(config.stderr).toBe(`There is no config file ${cwd}/none.ts.\n`);
  writeFileSync(join(cwd, 'file'), '');
  expect((await run(['serve', 'file'], { cwd })).stderr).toBe(`${cwd}/file is not a directory.\n`);
});

test('a config file that throws, and one that exports nothing', async () => {
  using place = directory();
  const cwd = place.path;
  mkdirSync(join(cwd, 'tenants'));
  writeFileSync(join(cwd, 'runtime.config.mjs'), 'throw new Error("no such database")');
  const threw = await run(['serve'], { cwd });
  expect(threw.code).toBe(1);
  expect(threw.stderr).toContain('runtime.config.mjs cannot be loaded: Error: no such database');
  writeFileSync(join(cwd, 'runtime.config.mjs'), 'export const port = 3;');
  const empty = await run(['serve'], { cwd });
  expect(empty.code).toBe(2);
  expect(empty.stderr).toContain('exports no default');
});

for (const engine of ENGINES) {
  test(`${engine}: output that cannot be written is told in a line`, async () => {
    const script = `exec "$0" "$1" help > /dev/full`;
    const full = new Command(
      spawn('sh', ['-c', script, engine, PROGRAM], {
        env: { ...process.env, PATH },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    const { code, stderr } = await full.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/^stdout cannot be written: ENOSPC[^\n]+\n$/);
  });
}

test('what is no socket is told as such', async () => {
  using place = directory();
  const { code, stderr } = await run(['ps', '--control', place.path]);
  expect(code).toBe(1);
  expect(stderr).toStartWith(`${place.path} is no socket`);
});

for (const engine of ENGINES) {
  test(`${engine}: a config file that cannot be loaded is told by its line, and none of ours`, async () => {
    using place = directory();
    const cwd = place.path;
    mkdirSync(join(cwd, 'tenants'));
    const told = async (name: string, text: string) => {
      writeFileSync(join(cwd, name), text);
      const { code, stderr } = await run(['serve', '--config', name], { engine, cwd });
      expect(code).toBe(1);
      expect(stderr).toStartWith(join(cwd, name));
      expect(stderr).toMatch(/^[^\n]+\n$/);
      return stderr;
    };
    expect(await told('a.mjs', 'export default {\n  port: 3,\n  }}\n')).toMatch(
      /a\.mjs cannot be loaded: SyntaxError: Unexpected .*\(.*a\.mjs:3\)\n$/,
    );
    expect(await told('b.mjs', 'const x = 1;\nthrow new Error("no database");\n')).toMatch(
      /b\.mjs cannot be loaded: Error: no database \(.*b\.mjs:2\)\n$/,
    );
    expect(await told('c.json', '{ "port": 3,\n "x" }')).toMatch(
      /c\.json cannot be loaded: SyntaxError: .*\n$/,
    );
    expect(await told('d.yaml', 'port: 3')).toContain('must end in .ts, .js, .mjs or .json');
  });
}

test('a config in TypeScript says what to do where Node does not read it', async () => {
  using place = directory();
  writeFileSync(join(place.path, 'runtime.config.ts'), 'export default {} satisfies object');
  const { code, stderr } = await run(['serve'], { engine: 'node', cwd: place.path });
  // A Node that reads it goes on to the next mistake.
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /is TypeScript, which Node 2\S+ does not read: run serve with|no directory/,
  );
});

for (const [name, { options, example }] of Object.entries(COMMANDS)) {
  test(`${name} --help has its options and an example, and so has help ${name}`, async () => {
    const { code, stdout, stderr } = await run([name, '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect((await run(['help', name])).stdout).toBe(stdout);
    if (name === 'doctor') return;
    for (const option of options) expect(stdout).toContain(`--${option}`);
    expect(stdout).toEndWith(`Example:\n  ${example}\n`);
  });
}

test('--version is that of the package', async () => {
  const { version } = (await import('../../package.json')).default;
  for (const engine of ENGINES)
    expect((await run(['--version'], { engine })).stdout).toBe(`${version}\n`);
});
