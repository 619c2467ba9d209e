// A tenant within walls can signal its own processes and no others, by whatever names them. The
// signal of most attempts is SIGURG, which programs ignore unless they ask for it.
import { expect, test } from 'bun:test';
import { landlock, SINCE } from '../../support/walls/kernel.ts';
import { inEachWorld } from '../../support/walls/world.ts';

const WAYS_OF_OWNERS = ['signalAsOwner', 'signalAsOwningThread', 'signalAsOwningGroup'] as const;

inEachWorld((world, name) => {
  // Between users the kernel itself refuses signals.
  const isKept = landlock >= SINCE.signals || name === 'with a user each';
  const victim = () => world().tenants.victim.pid;

  test.skipIf(!isKept)('a neighbour cannot be signalled by its pid', () =>
    world().refuses('signal', [victim()], 'EPERM'),
  );

  test.skipIf(!isKept)('whether a pid is there cannot be asked by a signal', () =>
    world().refuses('signal', [victim(), 0], 'EPERM'),
  );

  // A tenant leads a process group and a session that have its pid as their number.
  test.skipIf(!isKept)("a neighbour's group cannot be signalled", () =>
    world().refuses('signalGroup', [victim()], 'EPERM'),
  );

  test.skipIf(!isKept)("a neighbour's thread cannot be signalled", async () => {
    await world().refuses('signalThread', [victim()], 'EPERM');
    await world().refuses('signalThreadAlone', [victim()], 'EPERM');
  });

  test.skipIf(!isKept)('a neighbour cannot be signalled through a pidfd', () =>
    world().refuses('signalByPidfd', [victim()], 'EPERM'),
  );

  test.skipIf(!isKept)('a neighbour cannot be sent a signal with a value', () =>
    world().refuses('signalWithValue', [victim()], 'EPERM'),
  );

  test.skipIf(!isKept)(
    'a neighbour cannot be made the owner of a descriptor and so be signalled',
    async () => {
      for (const attempt of WAYS_OF_OWNERS) {
        const before = await world().signalsOfVictim('SIGURG');
        await world().try('attacker', attempt, victim());
        expect([attempt, await world().signalsOfVictim('SIGURG')]).toEqual([attempt, before]);
        await world().try('control', attempt, victim());
        expect([attempt, await world().signalsOfVictim('SIGURG')]).toEqual([attempt, before + 1]);
      }
    },
  );

  test.skipIf(!isKept)('a signal to all processes reaches none outside', async () => {
    const before = await world().signalsOfVictim('SIGURG');
    await world().try('attacker', 'signal', -1);
    expect(await world().signalsOfVictim('SIGURG')).toBe(before);
    // As root it would reach every process of the machine.
    if (name !== 'as an ordinary user') return;
    await world().try('control', 'signal', -1);
    expect(await world().signalsOfVictim('SIGURG')).toBe(before + 1);
  });

  test.skipIf(!isKept)('the host cannot be signalled', () =>
    world().refuses('signal', [world().host.pid], 'EPERM'),
  );

  test.skipIf(!isKept)('the warden cannot be signalled', () =>
    world().refuses('signal', [world().warden], 'EPERM'),
  );

  test.skipIf(!isKept)('its own keeper cannot be signalled', () =>
    world().refuses('signal', [world().keeperOf('attacker')], 'EPERM'),
  );

  test.skipIf(!isKept)("the test runner, a stranger's process, cannot be signalled", () =>
    world().refuses('signal', [process.pid], 'EPERM', {
      control: { 'as an ordinary user': process.getuid?.() === 0 ? 'EPERM' : 'ok' },
    }),
  );

  test.skipIf(!isKept)('its own processes can be signalled', async () => {
    const { detail } = await world().try('attacker', 'startChild');
    const { outcome } = await world().try('attacker', 'signal', Number(detail), 9);
    expect(outcome).toBe('ok');
  });
});
