// Nothing that a tenant starts outlives it, however it tries: other sessions and groups, daemons,
// processes that ignore SIGTERM and have no trace of their origin.
import { expect, test } from 'bun:test';
import { assertGone, treeOf, until } from '../../support/processes/index.ts';
import { createHostilePool } from '../../support/walls/ask.ts';
import { canLimitTrees } from '../../support/walls/limits.ts';
import { inEachWorld } from '../../support/walls/world.ts';

const SLEEPERS = 5;

const scattered = (pid: number) =>
  until('all that it has scattered is there', () => {
    const tree = treeOf(pid);
    return tree.filter(({ name }) => name === 'sleep').length === SLEEPERS && tree;
  });

inEachWorld((world) => {
  test('nothing that a tenant within walls has started outlives its stop', async () => {
    await world().start('later');
    const { pid } = world().tenants.later;
    await world().try('later', 'scatter');
    const tree = await scattered(pid);
    await world().call('kill', 'later');
    assertGone('of a stopped tenant', tree);
  });

  test('nothing that a tenant adopts outlives its stop', async () => {
    await world().start('later');
    const { pid } = world().tenants.later;
    await world().try('later', 'adoptOrphans');
    await world().try('later', 'scatter');
    const tree = await scattered(pid);
    await world().call('kill', 'later');
    assertGone('of a tenant that adopts', tree);
  });

  test.skipIf(process.arch !== 'x64')(
    'nothing that a tenant starts as a child of its keeper outlives it',
    async () => {
      for (const end of ['stop', 'crash'] as const) {
        await world().start('later');
        const { pid } = world().tenants.later;
        const sibling = Number((await world().try('later', 'startSibling')).detail);
        const tree = treeOf(pid);
        expect(tree.map((process) => process.pid)).toContain(sibling);
        if (end === 'stop') await world().call('kill', 'later');
        else await world().crash('later');
        assertGone(`of a tenant with a sibling after its ${end}`, tree);
      }
    },
  );

  test('nothing that a tenant within walls has started outlives its crash', async () => {
    await world().start('later');
    const { pid } = world().tenants.later;
    await world().try('later', 'scatter');
    const tree = await scattered(pid);
    await world().crash('later');
    assertGone('of a crashed tenant', tree);
  });
});

test.skipIf(!canLimitTrees)('processes that start others all the time are ended', async () => {
  await using pool = createHostilePool(['attacker'], { limits: { processes: 200 } });
  const { pid } = await pool.runtime.ensure('attacker');
  // Whoever signals them one by one comes too late.
  await pool.try('attacker', 'startRunners');
  const runners = () => treeOf(pid).filter(({ name }) => name === 'sh');
  const first = await until('they run', () => runners()[0]);
  await until('they run on', () => runners().some((runner) => runner.pid > first.pid));
  const keeper = treeOf(pid)[0]!;
  await pool.runtime.kill('attacker');
  assertGone('of runners', [keeper]);
  expect(pool.tenants.processes()).toEqual([]);
  await pool.dispose();
});
