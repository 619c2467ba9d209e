// A tenant is started while the JavaScript of its host does something else, with the host's
// variables as they were when it was asked for. JavaScript is asked only where a function of the
// user's has a say.
import { expect, test } from 'bun:test';
import { binDirectory, engineNames, startHost, Tenants } from '../support/processes/index.ts';

type Seen = { before: string; seen: (string | null)[] };

const WRITES_ENVIRONMENT = "sh -c 'env > env.tmp; mv env.tmp env.txt; exec bun server.ts'";
const PATH = `${binDirectory}:${process.env.PATH}`;
const HOST = { PATH, TZ: 'Europe/Vienna', LC_TIME: 'de_AT.UTF-8', SECRET: 'secret-1' };

/** The variables in the output of `env`. */
const variablesIn = (text: string | null) =>
  Object.fromEntries((text ?? '').split('\n').map((line) => line.split(/=(.*)/)));

for (const engine of engineNames) {
  for (const [how, env, secret] of [
    ['the default variables', undefined, undefined],
    ['"inherit"', 'inherit', 'secret-1'],
  ] as const) {
    test(`${engine}: at once, and when the gate opens; ${how}`, async () => {
      await using tenants = new Tenants();
      for (const key of ['first', 'at-once', 'queued'])
        tenants.add(key, { start: WRITES_ENVIRONMENT });
      const options = JSON.stringify({ env, spawnConcurrency: 1 });
      const args = [tenants.root, options, 'first', 'at-once', 'queued'];
      await using host = startHost(engine, 'busy.mjs', args, { env: HOST });
      const { before, seen } = await host.saidJson<Seen>('seen', 60_000);
      expect(variablesIn(before)).toMatchObject({ TZ: 'Europe/Vienna', LC_TIME: 'de_AT.UTF-8' });
      for (const text of seen) {
        const variables = variablesIn(text);
        expect(variables).toMatchObject({ TZ: 'Europe/Rome', NODE_ENV: 'production' });
        expect(variables).not.toHaveProperty('LC_TIME');
        expect(variables.SECRET).toBe(secret);
      }
      await host.said('disposed');
      expect(await host.end()).toEqual({ code: 0, signal: null });
    }, 90_000);
  }

  test(`${engine}: a record`, async () => {
    await using tenants = new Tenants();
    for (const key of ['first', 'next']) tenants.add(key, { start: WRITES_ENVIRONMENT });
    const options = JSON.stringify({ env: { PATH, MINE: 'a=b', PORT: '1' } });
    await using host = startHost(engine, 'busy.mjs', [tenants.root, options, 'first', 'next'], {
      env: HOST,
    });
    const { seen } = await host.saidJson<Seen>('seen', 60_000);
    const variables = variablesIn(seen[0]!);
    expect(variables).toMatchObject({ MINE: 'a=b', NODE_ENV: 'production' });
    expect(variables.PORT).not.toBe('1');
    expect(variables).not.toHaveProperty('TZ');
    await host.said('disposed');
    expect(await host.end()).toEqual({ code: 0, signal: null });
  }, 90_000);
}
