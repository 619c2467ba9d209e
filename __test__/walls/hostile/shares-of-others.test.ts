// A tenant within walls cannot take from the others what the scheduler and limits give them. Each
// attempt of `control` leaves everything as it is.
import { test } from 'bun:test';
import { inEachWorld } from '../../support/walls/world.ts';

const ATTEMPTS = [
  ['its limits changed', 'setLimits'],
  ['its priority changed', 'setPriority'],
  ['its cores chosen', 'setCores'],
  ['its scheduling changed', 'setScheduler'],
  ["its scheduler's parameters changed", 'setSchedulerParameters'],
  ["its scheduler's attributes changed", 'setSchedulerAttributes'],
  ["its disk's priority changed", 'setDiskPriority'],
] as const;

inEachWorld((world) => {
  for (const [what, attempt] of ATTEMPTS) {
    test(`a neighbour cannot have ${what}`, () =>
      world().refuses(attempt, [world().tenants.victim.pid], 'EPERM', {
        // Limits of another user's take a privilege that root in a container may not have.
        control: { 'with a user each': attempt === 'setLimits' ? ['ok', 'EPERM'] : 'ok' },
      }));

    test(`neither host, warden nor keeper can have ${what}`, async () => {
      for (const pid of [world().host.pid, world().warden, world().keeperOf('attacker')]) {
        const { outcome, detail } = await world().try('attacker', attempt, pid);
        world().expectOutcome(`${attempt} of ${pid}`, { outcome, detail }, 'EPERM');
      }
    });
  }

  test('a tenant cannot put itself before the others', async () => {
    const control = { 'as an ordinary user': ['EPERM', 'EACCES'] };
    await world().refuses('raisePriority', [], ['EPERM', 'EACCES'], { control, isChilds: true });
    await world().refuses('becomeRealTime', [], 'EPERM', { control, isChilds: true });
  });
});
