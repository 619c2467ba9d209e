// One host of a fleet, after the other, with a real etcd.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { Fleet, program } from '../support/fleet.ts';
import { rejectionOf } from '../support/surface/wait.ts';

let bed: Fleet;

describe.skipIf(program === undefined)('with etcd', () => {
  beforeAll(async () => {
    bed = await Fleet.open(['hello', 'other']);
  });
  afterAll(() => bed.close());

  test('a key is claimed, served with its epoch, and given up', async () => {
    const epochs: string[] = [];
    for (const id of ['eu-1', 'eu-2']) {
      const { runtime, fleet, events, close } = await bed.host(id, 17_070);
      expect(await rejectionOf(runtime.ensure('hello'))).toMatchObject({
        code: 'ERR_RUNTIME_NOT_CLAIMED',
      });
      await fleet.joined;
      const { port, epoch, ...owner } = await fleet.ensure('hello');
      expect(owner).toEqual({ host: id, address: 'http://127.0.0.1:17070' });
      const answer = await fetch(`http://127.0.0.1:${port}/`);
      expect(await answer.json()).toMatchObject({ epoch });
      expect(fleet.where('hello')).toEqual({ ...owner, epoch });
      expect(fleet.where('other')).toBeNull();
      expect((await runtime.ensure('hello')).port).toBe(port!);
      expect(await rejectionOf(runtime.ensure('other'))).toMatchObject({
        code: 'ERR_RUNTIME_NOT_CLAIMED',
      });
      const me = { id, state: 'live', weight: 1, zone: 'here' } as const;
      expect(fleet.hosts()).toEqual([expect.objectContaining(me)]);
      expect(events).toContainEqual({ kind: 'claim', key: 'hello', epoch, at: expect.any(Number) });
      await close();
      expect(runtime.stats().total).toBe(0);
      epochs.push(epoch);
    }
    expect(BigInt(epochs[1]!)).toBeGreaterThan(BigInt(epochs[0]!));
  }, 60_000);
});
