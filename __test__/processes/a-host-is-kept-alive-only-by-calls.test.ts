// An unused, idle or disposed runtime does not keep its host alive; a pending call does. A host
// that ends by itself does so with exit code 0, every time.
import { expect, test } from 'bun:test';
import {
  type EngineName,
  engineNames,
  slowToListen,
  startHost,
  Tenants,
  until,
} from '../support/processes/index.ts';

const TIMES = 20;
const AT_ONCE = 4;

/** Runs a host that does `what` and then ends by itself. */
async function run(engine: EngineName, tenants: Tenants, key: string, what: string) {
  await using host = startHost(engine, 'alive.mjs', [tenants.root, key, what]);
  const end = await host.end();
  return { ...end, errors: host.errors, said: host.lines.map((line) => line.split(' ')[0]) };
}

/** `run` with tenants of its own: hosts that share a root get a warning. */
async function runAlone(engine: EngineName, key: string, what: string) {
  await using tenants = new Tenants().add(key);
  const end = await run(engine, tenants, key, what);
  await until('nothing is left', () => tenants.processes().length === 0);
  return end;
}

const ending: Record<string, string[]> = {
  'never used': [],
  idle: ['ready'],
  disposed: ['ready', 'disposed'],
  'disposed without use': ['disposed'],
};

for (const engine of engineNames) {
  for (const [what, said] of Object.entries(ending)) {
    test(`${engine}: a host whose runtime is ${what} ends cleanly, ${TIMES} times in a row`, async () => {
      for (let done = 0; done < TIMES; done += AT_ONCE) {
        const runs = Array.from({ length: AT_ONCE }, () => runAlone(engine, 'app', what));
        for (const end of await Promise.all(runs))
          expect(end).toEqual({ code: 0, signal: null, errors: '', said });
      }
    }, 60_000);
  }

  test(`${engine}: pending calls keep the host alive`, async () => {
    await using tenants = new Tenants().add('app', { 'server.ts': slowToListen(400) });
    for (const [what, said] of [
      ['pending ensure', 'ready'],
      ['pending kill', 'killed'],
      ['pending dispose', 'disposed'],
    ] as const) {
      const end = await run(engine, tenants, 'app', what);
      expect(end).toEqual({ code: 0, signal: null, errors: '', said: [said] });
    }
    await until('nothing is left', () => tenants.processes().length === 0);
  });
}
