/**
 * The soak of upgrades: hosts that take over from one another, under requests at a rate and with
 * WebSockets open to tenants. No request is lost, no tenant is started anew, and each WebSocket
 * through the gateway before lives until its `drainMs` is over, and ends with 1001. See
 * `npm run soak:survive -- --help`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until, within } from '../../../__test__/support/processes/until.ts';
import { freePort, type Host, setUp, type World } from '../../../__test__/support/survive/world.ts';
import { readSurviveArguments } from '../arguments.mjs';
import type { Closings, Load, Told } from './client.ts';

const KEYS = Array.from({ length: 6 }, (_, index) => `tenant-${index}`);
const DRAIN_MS = 2_000;
/** How long after its `drainMs` a host may be there: its WebSockets have a second to confirm the end. */
const AFTER_MS = 20_000;
/** Requests between two upgrades, besides those that come while WebSockets are waited for. */
const REQUESTS_BETWEEN_MS = 500;
const PATIENCE_MS = 60_000;
const MOST_TOLD = 20;

const args = readSurviveArguments();
const engineOf = (upgrade: number) =>
  args.engine === 'both' ? (upgrade % 2 ? 'Node' : 'Bun') : args.engine === 'bun' ? 'Bun' : 'Node';

/** Prints what came of it, and returns what was not as it should be. */
async function soak(): Promise<string[]> {
  const server = readFileSync(join(import.meta.dir, 'tenant.ts'), 'utf8');
  await using world = setUp(KEYS, server);
  const violations: string[] = [];
  const from = performance.now();
  const gateway = { listen: { port: await freePort() }, drainMs: DRAIN_MS };
  const options = { observeIntervalMs: 0 };
  let host = await world.startAndRecover({ engine: engineOf(0), gateway, options });
  const port = await host.listening();
  const tenants = await host.ensureAll(KEYS);
  const { rate, sockets, seed } = args;
  using client = new Client({ port, keys: KEYS, perSecond: rate, sockets, seed });
  await client.opened();
  const lives: number[] = [];
  for (let upgrade = 1; upgrade <= args.upgrades; upgrade += 1) {
    await Bun.sleep(REQUESTS_BETWEEN_MS);
    const wrong = (text: string) => violations.push(`upgrade ${upgrade}: ${text}`);
    const startedAt = Date.now();
    const survive = { takeOver: true };
    const next = await world.startAndRecover({
      engine: engineOf(upgrade),
      survive,
      gateway,
      options,
    });
    await next.listening();
    for (const event of [...host.all('exit'), ...next.all('spawn'), ...next.all('exit')])
      wrong(`a tenant was not left alone: ${JSON.stringify(event)}`);
    if (next.all('recover').length !== KEYS.length) wrong('not every tenant was found');
    const closings = (await client.opened())!;
    judge(closings, sockets, startedAt, wrong);
    lives.push(closings.firstAt - startedAt, closings.lastAt - startedAt);
    host.endInput();
    const { code, signal } = await within('the host before ends', host.ended, DRAIN_MS + AFTER_MS);
    if (code !== 0) wrong(`the host before ended with ${code ?? signal}: ${host.errors}`);
    host = next;
  }
  const figures = await client.stop();
  violations.push(...figures.lost);
  if (figures.lostCount > 0) violations.push(`${figures.lostCount} requests were lost`);
  for (const { key, pid } of tenants) {
    const pids = figures.pids[key] ?? [];
    if (pids.join() !== `${pid}`) violations.push(`${key} was ${pid}, and ${pids} have answered`);
  }
  await end(world, host);
  const { lost: _, pids: __, ...told } = figures;
  const [shortest, longest] = [Math.min(...lives), Math.max(...lives)];
  const seconds = Math.round((performance.now() - from) / 1_000);
  const webSockets = { webSockets: sockets, drainMs: DRAIN_MS, closedAfterMs: [shortest, longest] };
  console.log(JSON.stringify({ upgrades: args.upgrades, ...told, ...webSockets, seconds }));
  const mark = violations.length ? '✘' : '✔';
  console.log(
    `${mark} ${figures.lostCount} of ${figures.answered} requests were lost in ${args.upgrades} ` +
      `upgrades, at ${figures.perSecond} a second (wanted: ${rate})`,
  );
  return violations;
}

/** Each lives until the `drainMs` of the gateway before is over: that begins after the next host's start. */
function judge(
  { codes, firstAt }: Closings,
  sockets: number,
  startedAt: number,
  wrong: (text: string) => unknown,
): void {
  const isRight = Object.keys(codes).join() === '1001' && codes[1001] === sockets;
  if (!isRight) wrong(`${sockets} WebSockets were closed with ${JSON.stringify(codes)}`);
  const lived = firstAt - startedAt;
  if (lived < DRAIN_MS) wrong(`a WebSocket was closed ${lived} ms after the next host's start`);
}

async function end(world: World, host: Host): Promise<void> {
  await host.ask('dispose');
  await world.untilNothingIsLeft();
}

/** The load, in its own process. */
class Client implements Disposable {
  #child: ChildProcess;
  #told: Told[] = [];
  #opened = 0;

  constructor(load: Load) {
    const words = [join(import.meta.dir, 'client.ts'), JSON.stringify(load)];
    this.#child = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface(this.#child.stdout!).on('line', (line) => this.#told.push(JSON.parse(line)));
  }

  /** Resolves when all WebSockets are open that are to be, once more. */
  async opened(): Promise<Closings | undefined> {
    const told = () => this.#told.filter((one) => one.of === 'open')[this.#opened];
    const { closings } = await until('each WebSocket is open (again)', told, PATIENCE_MS);
    this.#opened += 1;
    return closings;
  }

  async stop() {
    this.#child.stdin!.write('stop\n');
    const told = () => this.#told.find((one) => one.of === 'figures');
    return (await until('the load has ended', told, PATIENCE_MS)).figures;
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}

const violations = await soak();
for (const text of violations.slice(0, MOST_TOLD)) console.log(`✘ ${text}`);
process.exit(violations.length ? 1 : 0);
