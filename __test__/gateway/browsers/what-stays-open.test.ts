// Pages in Chromium stay open while their tenant is replaced, stopped and started again.
import { expect, test } from 'bun:test';
import type { Page } from 'playwright-core';
import { until } from '../../support/processes/until.ts';
import {
  closeAfterwards,
  newPage,
  openSite,
  VERSIONS,
} from '../../support/gateway/browsed/site.ts';

closeAfterwards();

type Told = { events: { pid: number; after: string | null }[]; opens: number; closed: string };

const told = (page: Page) => page.evaluate<Told>('told');

async function openBoth(page: Page, origin: string): Promise<number> {
  await page.goto(`${origin}/plain`);
  await page.evaluate('openBoth()');
  await page.waitForFunction('told.opens === 2 && told.events.length === 1');
  return (await told(page)).events[0]?.pid ?? 0;
}

for (const version of VERSIONS) {
  test(`${version}: a replace ends a socket by 1001, and leads a stream of events on`, async () => {
    await using site = await openSite(version);
    await using visit = await newPage();
    const before = await openBoth(visit.page, site.origin);
    await site.house.runtime.replace('site', { drainMs: 300 });
    await visit.page.waitForFunction('told.closed && told.events.length === 2');
    const { closed, events } = await told(visit.page);
    expect(closed).toBe('1001  true');
    expect(events[1]?.after).toBe(`${before}-1`);
    expect(events[1]?.pid).not.toBe(before);
  });

  test(`${version}: no request of a page is lost in replaces and restarts`, async () => {
    await using site = await openSite(version);
    await using visit = await newPage();
    await visit.page.goto(`${site.origin}/plain`);
    const counts = visit.page.evaluate<Record<string, number>>('askAlong()');
    for (const turn of [1, 2, 3]) {
      await site.house.runtime.replace('site', { drainMs: 1_000 });
      if (turn === 2) await site.house.runtime.restart('site');
    }
    await visit.page.evaluate('void (isEnough = true)');
    expect(Object.keys(await counts)).toEqual(['200']);
  });

  test(`${version}: a page asks over its old connection after an idle stop`, async () => {
    const ends: string[] = [];
    await using site = await openSite(version, {
      runtime: {
        idleAfterMs: 300,
        sweepIntervalMs: 50,
        onTransition: (event) => void (event.type === 'exit' && ends.push(event.reason)),
      },
    });
    await using visit = await newPage();
    await visit.page.goto(`${site.origin}/plain`);
    const connections = () => site.house.gateway.stats().connections;
    await until('the tenant is stopped', () => ends.length > 0);
    expect(ends).toEqual(['idle-killed']);
    const open = connections();
    expect(open).toBeGreaterThan(0);
    const pid = await visit.page.evaluate<string>(`fetch('/pid').then((answer) => answer.text())`);
    expect(Number(pid)).toBeGreaterThan(0);
    expect(connections()).toBe(open);
  });

  test(`${version}: what is open is told that the gateway closes`, async () => {
    await using site = await openSite(version);
    await using visit = await newPage();
    await openBoth(visit.page, site.origin);
    await site.house.gateway.close({ graceMs: 100 });
    await visit.page.waitForFunction('told.closed');
    expect((await told(visit.page)).closed).toBe('1001  true');
  });
}
