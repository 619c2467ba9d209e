/**
 * The soak of a day's traffic: apps of many kinds, each with its visitors of a day, on a host that has
 * them sleep, and has less memory for them than all of them awake would take. Every answer is checked;
 * who must not sleep does not; their memory stays within its bounds; and nothing is left in the end.
 * See `npm run soak:sleep -- --help`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import {
  descendantsOf,
  markedWith,
  processes,
  shown,
} from '../../__test__/support/processes/table.ts';
import { until } from '../../__test__/support/processes/until.ts';
import { EXPRESS_MODULES, hasExpress } from '../../bench/density/apps.ts';
import { hasSwap, zramBytes } from '../../bench/density/trees.ts';
import { percentile } from '../../bench/lib/figures.ts';
import { keysOf, makeApps } from './apps.mjs';
import { readSleepArguments } from './arguments.mjs';
import { visitsOf } from './day.mjs';
import { availableBytes, proportionalBytes } from './memory.mjs';
import { Model } from './model.mjs';
import { Visitor } from './visitor.ts';

const MIB = 2 ** 20;
/** What one app takes by itself, awake; and asleep, where it has been handed to swap or not. */
const AWAKE_MIB = 10;
const PAGED_OUT_MIB = 2;
const FROZEN_MIB = 8;
/** Idle for so long of the day, an app is stopped. */
const IDLE_SHARE = 1 / 3;
const LOOKS_EVERY_MS = 2_000;
const TOLD_EVERY_MS = 60_000;
const LANES = 64;
const MOST_TOLD = 20;
/** Descriptors that an engine and the addon keep, once they were used. */
const KEPT_DESCRIPTORS = 16;

const { apps, minutes, megabytes, engine, seed } = readSleepArguments();
const violations: string[] = [];
function violation(text: string): void {
  violations.push(text);
  if (violations.length <= MOST_TOLD) console.log(`✘ ${text}`);
}

const root = mkdtempSync(join(tmpdir(), 'runtime-soak-sleep-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true }));
const keys = keysOf(apps, hasExpress());
makeApps(root, keys, EXPRESS_MODULES);
if (!hasExpress()) console.log('› no express: `npm run bench -- density` installs it');

/** Half of the memory is for those awake. What is taken by others than the apps is not theirs. */
const bounds = {
  maxConcurrent: Math.max(8, Math.floor(megabytes / 2 / AWAKE_MIB)),
  maxAsleep: Math.floor(megabytes / 2 / (hasSwap() ? PAGED_OUT_MIB : FROZEN_MIB)),
  keepFreeBytes: Math.max(64 * MIB, availableBytes() - megabytes * MIB),
};
console.log(`› ${keys.length} apps, ${JSON.stringify(bounds)}`);

const model = new Model(violation);
const assignment = { root, ...bounds, idleAfterMs: IDLE_SHARE * minutes * 60_000 };
const host = spawn(
  engine === 'bun' ? process.execPath : 'node',
  [join(import.meta.dir, 'host.mjs'), JSON.stringify(assignment)],
  { stdio: ['pipe', 'pipe', 'inherit'] },
);
const hostIsGone = once(host, 'close');
process.on('exit', () => host.kill('SIGKILL'));
const listening = Promise.withResolvers<number>();
let descriptors: number | undefined;
createInterface({ input: host.stdout }).on('line', (line) => {
  const told = JSON.parse(line);
  if (told.of === 'transition') model.take(told.event);
  else if (told.of === 'listening') listening.resolve(told.port);
  else descriptors = told.descriptors;
});
void hostIsGone.then(() => listening.reject(new Error('the host has ended')));

let peakBytes = 0;
const zramBefore = zramBytes();
async function look(): Promise<void> {
  const table = processes();
  const trees = [...model.living].flatMap((pid) => [
    pid,
    ...descendantsOf(pid, table).map((each) => each.pid),
  ]);
  const bytes = (await proportionalBytes(trees)) + zramBytes() - zramBefore;
  peakBytes = Math.max(peakBytes, bytes);
}

let [visits, isDone] = [0, false];

/** Every app has its visitors, each at the time of theirs, or as soon as few enough are under way. */
async function live(port: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: LANES });
  const day = { port, model, agent, violation };
  const visitors = new Map(keys.map((key) => [key, new Visitor(key, day)]));
  const startedAt = performance.now();
  const under = new Set<Promise<void>>();
  for (const { key, atMs } of visitsOf(keys, minutes, seed)) {
    await Bun.sleep(Math.max(0, startedAt + atMs - performance.now()));
    if (violations.length >= MOST_TOLD || host.exitCode !== null) break;
    while (under.size >= LANES) await Promise.race(under);
    visits += 1;
    const visit = visitors.get(key)!.visit();
    under.add(visit);
    void visit.then(() => under.delete(visit));
  }
  await Promise.all(under);
  model.isEvening = true;
  for (const visitor of visitors.values()) visitor.leave();
  agent.destroy();
}

const figures = () => ({
  visits,
  answers: Visitor.statuses,
  ...model.figures,
  alive: model.living.size,
  peakMegabytes: Math.round(peakBytes / MIB),
});

async function watch(): Promise<void> {
  for (let toldAt = performance.now(); !isDone; await Bun.sleep(LOOKS_EVERY_MS)) {
    await look();
    if (performance.now() - toldAt < TOLD_EVERY_MS) continue;
    toldAt = performance.now();
    console.log(`› ${JSON.stringify(figures())}`);
  }
}

const watching = watch();
await live(await listening.promise);
await look();
isDone = true;
host.stdin.end();
await hostIsGone;
await watching;

if (descriptors === undefined)
  violation(`the host has ended with ${host.exitCode ?? host.signalCode}`);
else if (descriptors > KEPT_DESCRIPTORS)
  violation(`the host has ${descriptors} descriptors more than before`);
if (peakBytes > megabytes * MIB)
  violation(`the apps held ${Math.round(peakBytes / MIB)} MB of ${megabytes}`);
if (model.living.size > 0) violation(`their end was never told: ${[...model.living]}`);
await until('no process is left', () => markedWith(root).length === 0).catch(() =>
  violation(`left in the end: ${shown(markedWith(root))}`),
);

const spread = (times: number[]) =>
  [0.5, 0.99].map((share) => `${(percentile(times, share) ?? NaN).toFixed(1)} ms`).join(', 99 % ');
console.log(JSON.stringify({ ...figures(), descriptors }));
console.log(`woken in ${spread(model.wakeMs)} (${model.wakeMs.length} wakes)`);
console.log(`answers of sleepers within ${spread(Visitor.wokenMs)} (${Visitor.wokenMs.length})`);
console.log(`other answers within ${spread(Visitor.awakeMs)} (${Visitor.awakeMs.length})`);
console.log(`${violations.length ? '✘' : '✔'} ${violations.length} violations in ${visits} visits`);
process.exit(violations.length ? 1 : 0);
