// A host that is drained gives up keys that have no process, and passes on those that have one. Who
// asks for them meanwhile is served, whoever of the two hosts knows first whose they are.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { Fleet, program } from '../support/fleet.ts';

const KEYS = Array.from({ length: 40 }, (_, number) => `key-${number}`);

let bed: Fleet;

describe.skipIf(program === undefined)('with etcd', () => {
  beforeAll(async () => {
    bed = await Fleet.open(KEYS);
  });
  afterAll(() => bed.close());

  test('no request is lost, and no call', async () => {
    const first = await bed.host('eu-1', 17_091);
    await first.fleet.joined;
    for (const key of KEYS) {
      await first.fleet.ensure(key);
      // The claim of most of them is all that there is.
      if (!key.endsWith('0')) await first.runtime.kill(key);
    }
    const second = await bed.host('eu-2', 17_092);
    await second.fleet.joined;
    const drained = first.fleet.drain();
    const asked = KEYS.map(async (key, index) => {
      if (index % 3 === 0) return (await second.fleet.ensure(key)) && 200;
      const answer = await (index % 3 === 1 ? first : second).visit(key);
      return answer.status;
    });
    const answers = await Promise.all(asked);
    await drained;
    expect(answers).toEqual(KEYS.map(() => 200));
  }, 60_000);
});
