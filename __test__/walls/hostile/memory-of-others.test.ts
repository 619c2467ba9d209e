// No memory, descriptor or thread of a process outside can be read, changed or traced.
import { expect, test } from 'bun:test';
import { inEachWorld } from '../../support/walls/world.ts';

inEachWorld((world) => {
  const victim = () => world().tenants.victim.pid;

  test('a neighbour cannot be traced', () =>
    world().refuses('trace', [victim()], 'EPERM', { isChilds: true }));

  test('the host cannot be traced', () =>
    world().refuses('trace', [world().host.pid], 'EPERM', { isChilds: true }));

  test("a neighbour's memory cannot be read", async () => {
    const { addressInVictim, tenants } = world();
    const args = [victim(), addressInVictim, tenants.victim.secret.length] as const;
    await world().refuses('readMemory', [...args], 'EPERM');
    expect((await world().try('control', 'readMemory', ...args)).detail).toBe(
      tenants.victim.secret,
    );
  });

  test("a neighbour's memory cannot be changed", async () => {
    const { addressInVictim, tenants } = world();
    const { secret } = tenants.victim;
    await world().refuses('overwriteMemory', [victim(), addressInVictim, secret], 'EPERM');
  });

  test('the memory of the host cannot be read', async () => {
    const { addressInHost, host, hostSecret } = world();
    await world().refuses('readMemory', [host.pid, addressInHost, hostSecret.length], 'EPERM');
  });

  test("a neighbour's memory cannot be handed to the disk", () =>
    world().refuses('callMemoryCold', [victim(), world().addressInVictim], 'EPERM', {
      control: { 'as an ordinary user': ['ok', 'EPERM'] },
    }));

  test("a neighbour's descriptor cannot be taken", async () => {
    const { detail } = await world().try('victim', 'holdOpen', world().file('victim'));
    await world().refuses('takeDescriptor', [victim(), Number(detail)], 'EPERM');
  });

  test("descriptors cannot be compared with a neighbour's", () =>
    world().refuses('compareDescriptors', [victim()], ['EPERM', 'EACCES']));

  test('where a neighbour has its locks cannot be asked', () =>
    world().refuses('readRobustList', [victim()], 'EPERM'));

  // Without a number of its own a process has no way to be named but by its pid.
  test('the performance of a neighbour cannot be measured', () =>
    world().refuses('measurePerformance', [victim()], ['EPERM', 'EACCES'], {
      control: { 'as an ordinary user': ['ok', 'EACCES', 'EPERM'] },
    }));
});
