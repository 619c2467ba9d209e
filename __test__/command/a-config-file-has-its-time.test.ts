// A config file that does not come to an end, or ends the process, is told, and a host that serves
// goes on without it.
import { expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { directory, ENGINES, run, start } from '../support/command/run.ts';
import { get, serve, tenantsOf } from '../support/command/serving.ts';

const SLOW_MS = 30_000;

const kinds: [string, string, RegExp, number | null][] = [
  [
    'waits for what does not come',
    'setInterval(() => {}, 1e6); await new Promise(() => {});',
    /has not ended within 10s/,
    1,
  ],
  ['loops', 'for (;;);', /has not ended within 10s/, null],
  ['exits', 'process.exit(0);', /ends the process, by process\.exit\(0\)/, 1],
  [
    'exits later',
    'setTimeout(() => process.exit(), 1); await new Promise(() => {});',
    /ends the process, by process\.exit\(\)/,
    1,
  ],
];

test(
  'it is told before anything starts',
  async () => {
    const told = ENGINES.flatMap((engine) =>
      kinds.map(async ([what, text, said, code]) => {
        using place = directory();
        await using tenants = tenantsOf();
        writeFileSync(join(place.path, 'runtime.config.mjs'), `${text}\nexport default {}`);
        const args = ['serve', tenants.root, '--port', '0', '--control', place.socket];
        const ended = await run(args, { engine, cwd: place.path });
        const { stdout, stderr } = ended;
        const line = new RegExp(`^\\S*runtime\\.config\\.mjs ${said.source}[^\\n]*\\n$`);
        expect({ engine, what, stdout, stderr, code: ended.code }).toEqual({
          engine,
          what,
          stdout: '',
          stderr: expect.stringMatching(line),
          code,
        });
      }),
    );
    await Promise.all(told);
  },
  SLOW_MS,
);

test(
  'at SIGHUP a host goes on with what it had',
  async () => {
    const gone = ENGINES.map(async (engine) => {
      using place = directory();
      await using tenants = tenantsOf();
      const config = (text: string) =>
        writeFileSync(join(place.path, 'runtime.config.mjs'), `${text}\nexport default {}`);
      config('');
      const { host, port } = await serve(place, tenants.root, [], { engine });
      for (const [what, text, said] of kinds) {
        if (what === 'loops') continue;
        host.stderr = '';
        config(text);
        host.process.kill('SIGHUP');
        await host.says(new RegExp(`nothing is changed: \\S* ${said.source}`), 'stderr');
        expect((await get(port, 'hello')).status).toBe(200);
      }
      // Nothing can take its thread from the file: what runs is served all the same.
      config('for (;;);');
      host.process.kill('SIGHUP');
      await host.says(/has not ended within 10s, and holds up its thread: nothing/, 'stderr');
      expect((await get(port, 'hello')).status).toBe(200);
      await host.end('SIGKILL');
    });
    await Promise.all(gone);
  },
  2 * SLOW_MS,
);

for (const engine of ENGINES) {
  test(`${engine}: ^C ends a host whose config file does not come to its end`, async () => {
    using place = directory();
    await using tenants = tenantsOf();
    const text = 'console.log("begins"); await new Promise(() => {}); export default {}';
    writeFileSync(join(place.path, 'runtime.config.mjs'), text);
    const args = ['serve', tenants.root, '--port', '0', '--control', place.socket];
    const host = start(args, { engine, cwd: place.path });
    await host.says(/begins/);
    expect((await host.end('SIGINT')).code).toBe(130);
  });
}
