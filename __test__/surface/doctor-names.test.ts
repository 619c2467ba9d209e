// The doctor tells the names of hosts that tenants outlive: who has each, or since when none has.
import { expect, test } from 'bun:test';
import { findingsOf } from '../support/surface/injected-host.ts';

const owned = { protocol: 1, version: '0.1.0', wardenPid: 5, epoch: 2, sinceMs: 0 };
const namesOf = async (all: { name: string; ownerPid: number; runs: number }[]) =>
  (await findingsOf({ owned: async () => all.map((one) => ({ ...owned, ...one })) })).filter(
    ({ check }) => check === 'survive',
  );

test('without such hosts it says nothing of them', async () => {
  expect(await namesOf([])).toEqual([]);
});

test('a name that a host has', async () => {
  expect(await namesOf([{ name: 'apps', ownerPid: 4711, runs: 1 }])).toEqual([
    {
      check: 'survive',
      level: 'ok',
      found: 'apps: process 4711, since 1970-01-01T00:00:00.000Z',
      means: 'has its 1 tenant',
    },
  ]);
});

test('a name that no host has, and what to do', async () => {
  const [found] = await namesOf([{ name: 'apps', ownerPid: 0, runs: 3 }]);
  expect(found).toMatchObject({
    level: 'note',
    found: 'apps: no host, since 1970-01-01T00:00:00.000Z',
    advice: 'start that host, or end them: npx @absolutejs/runtime end apps',
  });
  expect(found!.means).toStartWith('its 3 tenants of version 0.1.0 run on until ');
});
