// What a fleet costs, and how long its faults last: real hosts, a real etcd and visitors, each in a
// network namespace of its own. One row at a time, each with a bed of its own.
import { loadavg } from 'node:os';
import { withBed } from '../../soak/fleet/bed.mjs';
import { whatIsMissing } from '../../soak/fleet/missing.mjs';
import { drained } from './drained.ts';
import { idle } from './idle.ts';
import { killed } from './killed.ts';
import { passedOn } from './passed-on.ts';
import type { Row } from './row.ts';
import { storeGone } from './store-gone.ts';

const rows: Record<string, Row> = {
  'fleet-killed': killed,
  'fleet-drained': drained,
  'fleet-store-gone': storeGone,
  'fleet-passed-on': passedOn,
  'fleet-idle': idle,
};

/** Measures the rows of these names, or all. Prints the figures, and returns the exit code. */
export async function runFleet(names: readonly string[]): Promise<number> {
  const missing = await whatIsMissing();
  if (missing !== undefined) {
    console.log(`› not measured: ${missing}`);
    return 0;
  }
  console.log(`load at start ${loadavg()[0]?.toFixed(1)}\n`);
  const chosen = names.includes('fleet') ? Object.keys(rows) : names;
  let allMet = true;
  for (const name of chosen) {
    const row = rows[name];
    if (row === undefined) continue;
    const began = performance.now();
    const figures = await withBed(row.size, row.measure);
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    console.log(`${name}: ${row.title} (${seconds} s)`);
    for (const { what, value, unit, goal } of figures) {
      const isMet = goal === undefined || value <= goal;
      const mark = goal === undefined ? ' ' : isMet ? '✔' : '✘';
      const wanted = goal === undefined ? '' : ` (goal ≤ ${goal})`;
      console.log(`  ${mark} ${what}: ${shown(value)} ${unit}${wanted}`);
      allMet &&= isMet;
    }
    console.log();
  }
  return allMet ? 0 : 1;
}

const shown = (value: number) => String(Number(value.toPrecision(3)));
