// The browser that the tests of a file share.
import { afterAll } from 'bun:test';
import type { Browser } from 'playwright-core';
import { launch } from './chromium.ts';

let browser: Promise<Browser> | undefined;

/** It is launched by the first that asks, who says how. */
export const sharedBrowser = (how?: Parameters<typeof launch>[0]) => (browser ??= launch(how));

/** In each file that opens pages: the browser ends with its tests. */
export function closeAfterwards() {
  afterAll(async () => {
    const launched = await browser;
    browser = undefined;
    await launched?.close();
  });
}
