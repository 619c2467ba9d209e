// Hosts that know each other by certificates, with a real etcd.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { connect } from 'node:tls';
import { Authority, hasOpenssl } from '../support/certificates.ts';
import { Fleet, program } from '../support/fleet.ts';
import { until } from '../support/processes/until.ts';

type Host = Awaited<ReturnType<Fleet['host']>>;
type Tls = ReturnType<Authority['certify']>;

const KEYS = Array.from({ length: 12 }, (_, number) => `key-${number}`);
/** Nobody has asked for them yet. */
const LATE = Array.from({ length: 8 }, (_, number) => `late-${number}`);
const LEASE_MS = 2_000;

let bed: Fleet;
let ours: Authority;
let theirs: Authority;
let first: Host;
let second: Host;

const keyOf = (host: Host, id: string) => KEYS.find((key) => host.fleet.where(key)?.host === id)!;
const knows = (host: Host, ids: string[]) =>
  until(`it knows ${ids}`, () => `${host.fleet.hosts().map(({ id }) => id)}` === `${ids}`);

const pidOf = async (answer: Response) => ((await answer.json()) as { pid: number }).pid;

/** What the listener for hosts at this port answers to who shows this certificate, or none. */
function answerAt(port: number, tls: Partial<Tls>): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect({ host: '127.0.0.1', port, ...tls, rejectUnauthorized: false });
  let text = '';
  socket.on('secureConnect', () => {
    socket.write('GET / HTTP/1.1\r\nhost: a\r\nabsolute-peer: eu-1 -\r\nabsolute-hops: 1\r\n');
    socket.write('absolute-key: key-0\r\nconnection: close\r\n\r\n');
  });
  socket.on('data', (data) => (text += data));
  socket.on('error', ({ message }) => resolve(message));
  socket.on('close', () => resolve(text));
  return promise;
}

describe.skipIf(program === undefined || !hasOpenssl)('with etcd', () => {
  beforeAll(async () => {
    [ours, theirs] = [new Authority(), new Authority()];
    bed = await Fleet.open([...KEYS, ...LATE]);
    first = await bed.host('eu-1', 17_081, LEASE_MS, { tls: ours.certify('eu-1') });
    second = await bed.host('eu-2', 17_082, LEASE_MS, { tls: ours.certify('eu-2') });
    await Promise.all([first.fleet.joined, second.fleet.joined]);
    await Promise.all([first, second].map((host) => knows(host, ['eu-1', 'eu-2'])));
  });
  afterAll(async () => {
    await bed.close();
    for (const authority of [ours, theirs]) authority[Symbol.dispose]();
  });

  test('each serves what either is asked for, and has others start tenants', async () => {
    for (const key of KEYS) {
      const answers = await Promise.all([first.visit(key), second.visit(key)]);
      const [one, other] = await Promise.all(answers.map(pidOf));
      expect(one).toBe(other!);
    }
    const key = keyOf(first, 'eu-2');
    await second.runtime.kill(key);
    expect(await first.fleet.ensure(key)).toMatchObject({ host: 'eu-2' });
    expect(second.runtime.list().map((tenant) => tenant.key)).toContain(key);
  });

  test('who shows no certificate of the authority is let in nowhere', async () => {
    const strangers: [string, Partial<Tls>, RegExp][] = [
      ['nothing', {}, /CERTIFICATE_REQUIRED/],
      ['one of another authority', theirs.certify('eu-2'), /UNKNOWN_CA|DECRYPT_ERROR/],
      ['one that is over', ours.certify('old', -1), /CERTIFICATE_EXPIRED/],
    ];
    for (const [what, tls, refused] of strangers) {
      expect(`${what}: ${await answerAt(17_081, tls)}`).toMatch(refused);
    }
    expect(await answerAt(17_081, ours.certify('eu-2'))).toStartWith('HTTP/1.1 ');
  });

  test.each([
    ['of another authority', () => ({ ...theirs.certify('eu-3'), ca: ours.ca })],
    ['that is over', () => ours.certify('eu-3', -1)],
  ])(
    'a host with a certificate %s harms no other, nor what others serve',
    async (_, certificate) => {
      const third = await bed.host('eu-3', 17_083, LEASE_MS, { tls: certificate() });
      await third.fleet.joined;
      await knows(first, ['eu-1', 'eu-2', 'eu-3']);
      const pids = await Promise.all(KEYS.map(async (key) => pidOf(await first.visit(key))));
      // It can ask nobody, and is not believed.
      const answer = await third.visit(keyOf(first, 'eu-1'));
      expect([502, 503]).toContain(answer.status);
      for (const [index, key] of KEYS.entries()) {
        expect(await pidOf(await second.visit(key))).toBe(pids[index]!);
      }
      for (const key of LATE.splice(0, 4)) expect((await first.visit(key)).status).toBe(200);
      await third.close();
      await knows(first, ['eu-1', 'eu-2']);
    },
  );

  test('a third host takes over from one that is drained', async () => {
    const third = await bed.host('eu-4', 17_084, LEASE_MS, { tls: ours.certify('eu-4') });
    await third.fleet.joined;
    await knows(second, ['eu-1', 'eu-2', 'eu-4']);
    await second.fleet.drain();
    await until('no tenant is left', () => second.runtime.stats().total === 0);
    for (const key of KEYS) {
      expect((await second.visit(key)).status).toBe(200);
      expect(first.fleet.where(key)?.host).toMatch(/^eu-[14]$/);
    }
  }, 60_000);
});
