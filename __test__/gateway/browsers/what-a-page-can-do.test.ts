// What a page in Chromium does with its server gives the same through the gateway as beside it.
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import {
  closeAfterwards,
  newPage,
  openSite,
  originBeside,
  VERSIONS,
} from '../../support/gateway/browsed/site.ts';

closeAfterwards();

type Seen = { left: number; shown: string[]; ranges: number[] };

for (const version of VERSIONS) {
  test(`${version}: a page wakes its tenant once, and gets all of its 60 parts`, async () => {
    await using site = await openSite(version);
    await using visit = await newPage();
    await visit.page.goto(site.origin);
    const parts = await visit.page.evaluate(
      `[scripts, document.styleSheets.length,
        [...document.images].filter((image) => image.naturalWidth > 0).length]`,
    );
    expect(parts).toEqual([20, 20, 20]);
    const spoken = `performance.getEntriesByType('navigation')[0].nextHopProtocol`;
    expect(await visit.page.evaluate<string>(spoken)).toBe(version);
    expect(site.house.starts).toEqual(['site']);
  });

  test(`${version}: all that a page can do is as it is without the gateway`, async () => {
    await using site = await openSite(version);
    const { house, origin, other } = site;
    const tried = async (at: string, otherOrigin: string) => {
      await using visit = await newPage();
      await visit.page.goto(`${at}/plain`);
      return await visit.page.evaluate<Record<string, unknown>>(`tryAll('${otherOrigin}')`);
    };
    const [site1, other1] = [await originBeside(house, 'site'), await originBeside(house, 'other')];
    const beside = await tried(site1, other1);
    const through = await tried(origin, other);
    expect(through).toEqual(beside);
    // Both could be wrong in the same way.
    expect(through['what has not changed']).toEqual([true, 304, true, 304]);
    expect(through['a socket']).toContain('one');
    expect(through['a service worker']).toEqual(['made up', 'GET ']);
    expect(house.starts).toEqual(['site', 'other']);
  });

  test(`${version}: pages that are left, gone back to, downloaded and guarded`, async () => {
    await using site = await openSite(version);
    await using visit = await newPage();
    const { page } = visit;
    const { port } = await site.house.runtime.ensure('site');
    const seen = async () => (await (await fetch(`http://127.0.0.1:${port}/seen`)).json()) as Seen;

    await page.goto(`${site.origin}/endless`, { waitUntil: 'commit' });
    await page.goto(`${site.origin}/plain`);
    while ((await seen()).left === 0);
    // The page itself comes back as it was, and is not loaded again.
    await page.goto(`${site.origin}/kept`);
    // With a request under way browsers do not keep it.
    await page.locator('body[data-told]').waitFor({ state: 'attached' });
    await page.evaluate(`void setTimeout(() => (location.href = '/and-back'), 1)`);
    while ((await seen()).shown.length < 2);
    expect((await seen()).shown).toEqual(['false', 'true']);

    await using another = await newPage();
    await another.page.goto(`${site.origin}/auth`);
    expect(await another.page.textContent('main')).toBe('me:secret');
    await another.page.goto(`${site.origin}/plain`);
    const downloads = another.page.waitForEvent('download');
    await another.page.evaluate(`void (location.href = '/download?bytes=5000000')`);
    const download = await downloads;
    expect(download.suggestedFilename()).toBe('zeros.bin');
    expect(readFileSync(await download.path()).length).toBe(5_000_000);
  });
}

test('h2: an upload can go on while its answer comes', async () => {
  await using site = await openSite('h2');
  await using visit = await newPage();
  await visit.page.goto(`${site.origin}/plain`);
  // Over HTTP/1.1 browsers refuse this themselves.
  const said = await visit.page.evaluate(`(async () => {
    const { readable, writable } = new TextEncoderStream();
    const answer = fetch('/method', { method: 'POST', body: readable, duplex: 'half' });
    const writer = writable.getWriter();
    await writer.write('part by ');
    await writer.write('part');
    await writer.close();
    return (await answer).text();
  })()`);
  expect(said).toBe('POST part by part');
});
