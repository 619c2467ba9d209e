// A tenant within walls listens on its own port, and on no other: not on a neighbour's before,
// while or after this runs.
import { expect, test } from 'bun:test';
import { rmSync, writeFileSync } from 'node:fs';
import { until } from '../../support/processes/index.ts';
import { landlock, SINCE } from '../../support/walls/kernel.ts';
import { inEachWorld, type World } from '../../support/walls/world.ts';

/** On every address where visitors could be taken over. */
const ADDRESSES = ['127.0.0.1', '0.0.0.0', '127.0.0.2', '::1', '::'];
const [AF_INET, AF_INET6] = [2, 10];
/** Without `SO_REUSEPORT` on both sides the kernel refuses a port that is listened on. */
const TAKEN = ['ok', 'EADDRINUSE', 'EADDRNOTAVAIL', 'EAFNOSUPPORT'];

async function refusesPort(world: World, port: number, control: string[]) {
  for (const address of ADDRESSES) {
    await world.refuses('listenOn', [address, port], ['EACCES', 'EAFNOSUPPORT'], { control });
  }
}

inEachWorld((world) => {
  test.skipIf(landlock < SINCE.ports)(
    "a neighbour's port cannot be listened on while the neighbour runs",
    () => refusesPort(world(), world().tenants.victim.port, TAKEN),
  );

  test.skipIf(landlock < SINCE.ports)(
    "a neighbour's port cannot be listened on before and after it runs",
    async () => {
      const { tenants } = world();
      writeFileSync(world().file('later', 'wait'), '');
      const starting = world().start('later');
      const spawn = await until(
        'it is spawned',
        () => world().told<{ port: number }>('spawn', 'later')[0],
      );
      await refusesPort(world(), spawn.port, TAKEN);
      rmSync(world().file('later', 'wait'));
      await starting;
      expect(tenants.later.port).toBe(spawn.port);
      await refusesPort(world(), spawn.port, TAKEN);
      await world().call('kill', 'later');
      await refusesPort(world(), spawn.port, TAKEN);
    },
  );

  test.skipIf(landlock < SINCE.ports)(
    "a neighbour's port cannot be listened on by an address without a family",
    () => {
      const { port } = world().tenants.victim;
      return world().refuses('listenWithoutFamily', [port], ['EACCES', 'EAFNOSUPPORT'], {
        control: TAKEN,
      });
    },
  );

  test.skipIf(landlock < SINCE.ports)('a port that the kernel chooses cannot be listened on', () =>
    world().refuses('listenOn', ['127.0.0.1', 0], 'EACCES'),
  );

  test.skipIf(landlock < SINCE.ports)(
    'a port that programs find each other by cannot be listened on',
    () => world().refuses('listenOn', ['127.0.0.1', 15_432], 'EACCES'),
  );

  test("a neighbour's port cannot be chosen for a socket that is bound to nothing", async () => {
    const { port } = world().tenants.victim;
    const control = ['ok', 'EADDRINUSE', 'ENOPROTOOPT', 'EAFNOSUPPORT'];
    for (const family of [AF_INET, AF_INET6]) {
      const refusals = ['ENOPROTOOPT', 'EAFNOSUPPORT'];
      await world().refuses('listenWithinRange', [family, port], refusals, { control });
    }
  });

  test('its own port is its own', async () => {
    const { port } = world().tenants.attacker;
    // Its server has it.
    const { outcome } = await world().try('attacker', 'listenOn', '127.0.0.1', port);
    expect(['ok', 'EADDRINUSE']).toContain(outcome);
  });
});
