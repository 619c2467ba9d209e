// A host that stands still, or that cannot be reached any more, does not say so. Who waits for it by
// way of another host is answered nevertheless. Each host is a machine: a network namespace.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { spawn, spawnSync } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { Bed } from '../../soak/fleet/bed.mjs';
import { program } from '../support/etcd.ts';
import { until, within } from '../support/processes/until.ts';

const SIZE = { members: 1, hosts: 2, keys: 8, leaseMs: 2_000, engine: 'bun' };
const hasNamespaces = process.getuid?.() === 0 && spawnSync('ip', ['netns']).status === 0;

let bed: Bed;
let visits = 0;

/** Visits a key by way of `h1`: the status of the answer, and a mark that its tenant writes down. */
function visit(key: string, query = '', ...more: string[]) {
  const mark = `visit-${(visits += 1)}`;
  const url = `http://${bed.network.addressOf('h1')}:8080/visit?mark=${mark}&${query}`;
  const asked = ['--silent', '--write-out', '%{stderr}%{http_code}', ...more];
  const [command = '', ...words] = [...bed.network.onLab, 'curl', '--noproxy', '*', ...asked];
  const curl = spawn(command, [...words, '--header', `host: ${key}.fleet.test`, url], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return { status: text(curl.stderr), mark };
}

/** Without an end, unless somebody ends it. Resolves once its tenant has it. */
async function waitingVisit(key: string, ...more: string[]) {
  const begun = visit(key, 'slow=600000', ...more);
  await until('the tenant has it', () => bed.told().includes(begun.mark));
  return begun;
}

/** A key that the host has. */
const keyOf = (host: string) =>
  bed.hosts.get(host)!.told.findLast(({ event }) => event?.kind === 'claim').event.key as string;

describe.skipIf(program === undefined || !hasNamespaces)('with etcd and machines', () => {
  beforeAll(async () => {
    bed = new Bed(SIZE);
    await bed.startStore();
    for (const name of bed.hostNames) {
      await bed.startHost(name).until(({ kind }) => kind === 'ready');
    }
    for (const key of bed.keys) expect(await visit(key).status).toBe('200');
  }, 60_000);
  afterEach(() => bed.network.mendAll());
  afterAll(() => bed.close());

  test('a host that cannot be reached any more', async () => {
    const key = keyOf('h2');
    const waiting = [
      waitingVisit(key),
      // It may have been done, so it is sent nowhere else.
      waitingVisit(key, '--data', 'a'),
      waitingVisit(key, '--data', 'a'.repeat(10_000)),
    ];
    const begun = await Promise.all(waiting);
    for (const [from, to] of [
      ['h1', 'h2'],
      ['h2', 'h1'],
    ] as const) {
      bed.network.cut(from, to);
    }
    // On connections that are kept, of which nobody knows yet that they lead nowhere.
    const late = [visit(key), visit(key, '', '--data', 'a')];
    const statuses = [...begun, ...late].map(({ status }) => status);
    const answers = await within('all are answered', Promise.all(statuses));
    for (const status of answers) expect(status).toMatch(/^50[234]$/);
    bed.network.mendAll();
    expect(await visit(key, '', '--retry', '9').status).toBe('200');
  }, 60_000);

  test('a host that stands still', async () => {
    const key = keyOf('h2');
    const posted = await waitingVisit(key, '--data', 'a');
    bed.hosts.get('h2')!.signal('SIGSTOP');
    expect(await within('it is answered', posted.status)).toBe('502');
    expect(await visit(key, '', '--retry', '9').status).toBe('200');
    bed.hosts.get('h2')!.signal('SIGCONT');
  }, 60_000);
});
