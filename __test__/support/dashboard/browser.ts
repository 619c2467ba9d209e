// Pages in Chromium. What the browser has to say against a page is kept, and no test ends with it.
import type { Page } from 'playwright-core';
import { expect } from 'bun:test';
import { closeAfterwards, sharedBrowser } from './shared-browser.ts';

export { closeAfterwards };

export const WIDTHS = [360, 900, 1600];

export type Look = {
  width?: number;
  scheme?: 'light' | 'dark';
  /** The system gives the colours, as it does for people who ask it for more contrast. */
  forcedColors?: 'active';
};

/** A page, closed at the end of the test, which fails if the browser complained. */
export async function visit(url: string, look: Look = {}) {
  const { width = 1280, scheme = 'light', forcedColors = 'none' } = look;
  const browser = await sharedBrowser();
  const context = await browser.newContext({
    viewport: { width, height: 800 },
    colorScheme: scheme,
    reducedMotion: 'reduce',
    forcedColors,
    // The tests sign their certificates themselves.
    ignoreHTTPSErrors: true,
  });
  const page: Page = await context.newPage();
  // Sooner than the test's own, so that it says what was waited for.
  page.setDefaultTimeout(45_000);
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(`${error.stack}`));
  await page.goto(url);
  await page.locator('main > *').first().waitFor();
  return {
    page,
    complaints,
    /** A host that is gone is a console error of the browser's own. */
    forgive: () => void complaints.splice(0),
    async [Symbol.asyncDispose]() {
      await context.close();
      // Shown also where the test has failed already.
      if (complaints.length > 0) console.error(complaints.join('\n'));
      expect(complaints).toEqual([]);
    },
  };
}

/** Another view of the page that is open; there once its heading is. */
export async function go(page: Page, url: string): Promise<void> {
  await page.goto(url);
  const [, part = '', key] = new URL(url).hash.split('/');
  const names: Record<string, string> = { '': 'Tenants', events: 'Events', host: 'Host' };
  const name = part === 'tenants' && key ? decodeURIComponent(key) : names[part];
  await page.getByRole('heading', { level: 1, name, exact: true }).waitFor({ state: 'attached' });
}
