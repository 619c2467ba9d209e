// What the dashboard's page costs with a thousand tenants, in Chromium: until something is painted,
// while it is scrolled, and while it is live. The tenants are made up.
import type { CDPSession, Page } from 'playwright-core';
import { launch } from '../../__test__/support/dashboard/chromium.ts';
import { apiOf } from '../../__test__/support/dashboard/made-up-api.mjs';
import { madeUpHost } from '../../__test__/support/dashboard/made-up-host.mjs';
import { createDashboard } from '../../lib/dashboard/server.js';

const TENANTS = 1000;
/** The share of those running that change each second: a host where nearly all are quiet, or none. */
const BUSY = { 'a tenth busy': 0.1, 'all busy': 1 };
const LIVE_MS = 10_000;
const SCROLL_MS = 5_000;
/** A frame at 60 Hz takes 16.7 ms; one that takes longer than this has missed its turn. */
const LATE_MS = 25;

type Row = { what: string; value: string; goal: string; isMet?: boolean };

/** Prints a table, and returns the exit code. */
export async function runDashboard(): Promise<number> {
  const rows: Row[] = [];
  for (const [name, busy] of Object.entries(BUSY)) {
    const host = madeUpHost({ tenants: TENANTS, busy });
    const dashboard = createDashboard({ port: 0 }, apiOf(host));
    const ticking = setInterval(host.tick, 1000);
    const { url } = await dashboard.listening;
    rows.push(...(await measure(name, url)));
    clearInterval(ticking);
    await dashboard.close();
  }
  console.log(`The page with ${TENANTS} tenants:\n`);
  for (const { what, value, goal, isMet } of rows) {
    const verdict = isMet === undefined ? '' : isMet ? '✔' : '✘';
    console.log(`${what.padEnd(52)} ${value.padStart(12)}  ${goal.padEnd(10)} ${verdict}`);
  }
  return rows.every(({ isMet }) => isMet !== false) ? 0 : 1;
}

async function measure(name: string, url: string): Promise<Row[]> {
  const browser = await launch();
  const whole = await browser.newBrowserCDPSession();
  const page = await browser.newPage({ viewport: { width: 1600, height: 900 } });
  const session = await page.context().newCDPSession(page);
  // Of the thread itself: what else the machine does is not counted.
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  await page.goto(url);
  await page.locator('tbody a').first().waitFor();
  const painted = await page.evaluate<number>(PAINTED);
  const rowsAt = await page.evaluate<number>('performance.now()');

  const live = await cpuOf(session, whole, () => page.waitForTimeout(LIVE_MS));
  let scrolled = { frames: NaN, late: NaN, p99: NaN };
  const busy = await cpuOf(session, whole, async () => {
    scrolled = await scroll(page);
  });
  const { frames, late, p99 } = scrolled;
  const perFrame = (10 * busy.page) / frames;
  await browser.close();
  return [
    met(`first paint, ${name}`, painted, 1000, 'ms'),
    { what: `all rows there, ${name}`, value: `≤ ${rowsAt.toFixed(0)} ms`, goal: '' },
    met(`live, the page's thread, ${name}`, live.page, 5, '% of a core'),
    { what: `live, the whole browser, ${name}`, value: `${live.all.toFixed(1)} %`, goal: '' },
    met(`scrolling, the page's work in a frame, ${name}`, perFrame, 16.7, 'ms'),
    { what: `scrolling, frames a second, ${name}`, value: frames.toFixed(1), goal: '60' },
    {
      what: `scrolling, 99 of 100 frames, ${name}`,
      value: `${p99.toFixed(1)} ms`,
      goal: '16.7 ms',
    },
    { what: `scrolling, late frames, ${name}`, value: `${late.toFixed(1)} %`, goal: '' },
  ];
}

function met(what: string, value: number, goal: number, unit: string): Row {
  const [short = ''] = unit.split(' ');
  return {
    what,
    value: `${value.toFixed(1)} ${short}`,
    goal: `≤ ${goal} ${short}`,
    isMet: value <= goal,
  };
}

const PAINTED = `performance.getEntriesByName('first-contentful-paint')[0].startTime`;

/** Time on processors while something goes on, as shares of one. */
async function cpuOf(page: CDPSession, whole: CDPSession, doing: () => Promise<void>) {
  const read = async () => {
    const { metrics } = await page.send('Performance.getMetrics');
    const { processInfo } = await whole.send('SystemInfo.getProcessInfo');
    return {
      page: metrics.find((metric) => metric.name === 'TaskDuration')?.value ?? NaN,
      all: processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0),
      at: performance.now() / 1000,
    };
  };
  const before = await read();
  await doing();
  const after = await read();
  const share = (name: 'page' | 'all') =>
    (100 * (after[name] - before[name])) / (after.at - before.at);
  return { page: share('page'), all: share('all') };
}

async function scroll(page: Page) {
  await page.mouse.move(800, 500);
  await page.evaluate(COUNT_FRAMES);
  const until = performance.now() + SCROLL_MS;
  let by = 90;
  while (performance.now() < until) {
    await page.mouse.wheel(0, by);
    // Down to the end, and up again.
    if (await page.evaluate<boolean>(IS_AT_AN_END)) by = -by;
  }
  const frames = (await page.evaluate<number[]>('frames')).slice(1).toSorted((a, b) => a - b);
  const sum = frames.reduce((total, frame) => total + frame, 0);
  return {
    frames: (1000 * frames.length) / sum,
    p99: frames[Math.floor(frames.length * 0.99)] ?? NaN,
    late: (100 * frames.filter((frame) => frame > LATE_MS).length) / frames.length,
  };
}

const COUNT_FRAMES = `
  globalThis.frames = [];
  let last = performance.now();
  const count = (now) => {
    frames.push(now - last);
    last = now;
    requestAnimationFrame(count);
  };
  requestAnimationFrame(count);`;

const IS_AT_AN_END = `scrollY + innerHeight >= document.body.scrollHeight - 1 || (scrollY === 0)`;
