/** Tenants that write a lot, and the figures of a host that reads it. */
import { expect } from 'bun:test';
import { type EngineName, startHost } from './hosts.ts';
import { SERVER, Tenants } from './tenants.ts';

/** Well under 100 MB. */
const MAX_GROWTH_MB = 90;
export const FLOOD_TEST_MS = 120_000;

export type Seen = {
  lines: number;
  bytes: number;
  longestBytes: number;
  linesAfterExit: number;
  slowestTimerMs: number;
  isComplete: boolean;
  grownMb: number;
  otherMs: number;
  bytesWhenOtherWasReady: number;
  tookMs: number;
  ticks: number;
};

/**
 * A tenant that, at SIGUSR2, writes what `chunks` yields, and the hash of it without line ends to
 * stderr.
 */
const flood = (chunks: string) => `
import { writeSync } from 'node:fs';
${SERVER}
const hash = new Bun.CryptoHasher('sha256');
function* chunks() { ${chunks} }
function write(chunk) {
  for (let rest = chunk; rest.length > 0; ) rest = rest.subarray(writeSync(1, rest));
}
process.once('SIGUSR2', () => {
  for (const chunk of chunks()) {
    hash.update(chunk.toString('latin1').replaceAll('\\n', ''));
    write(chunk);
  }
  writeSync(2, hash.digest('hex') + '\\n');
});
`;

export const LINE_BYTES = 200;
export const LINES = 1_000_000;
/** Numbered lines of 200 bytes with their ends: 200 MB. */
export const numberedLines = `
  const batch = 5000;
  for (let from = 0; from < ${LINES}; from += batch) {
    let text = '';
    for (let index = from; index < from + batch; index++) text += String(index).padStart(${LINE_BYTES - 1}, '.') + '\\n';
    yield Buffer.from(text);
  }`;

export const LONG_LINE_BYTES = 300_000_000;
export const oneLine = `
  for (let from = 0; from < ${LONG_LINE_BYTES}; from += 1_000_000) {
    yield Buffer.from(String(from).padStart(1000, '-').repeat(1000));
  }`;

export const SLOW_LINES = 2_500;
const SLOW_LINE_BYTES = 60_000;
/** 150 MB in all. */
export const longLines = `
  for (let index = 0; index < ${SLOW_LINES}; index++) {
    yield Buffer.from(String(index).padStart(${SLOW_LINE_BYTES - 1}, '.') + '\\n');
  }`;

/** Lets a host take in what a tenant writes; checks what always holds. */
export async function takeFlood(engine: EngineName, chunks: string, besides = ''): Promise<Seen> {
  await using tenants = new Tenants().add('flood', { 'server.ts': flood(chunks) }).add('other');
  await using host = startHost(engine, 'floods.mjs', [tenants.root, 'flood', besides]);
  const seen = await host.saidJson<Seen>('seen', FLOOD_TEST_MS);
  if (process.env.SHOW_MEASUREMENTS) console.log(engine, besides, JSON.stringify(seen));
  expect(seen.isComplete).toBe(true);
  expect(seen.linesAfterExit).toBe(0);
  expect(seen.grownMb).toBeLessThan(MAX_GROWTH_MB);
  return seen;
}
