// The gateway's soak: requests all the time, while the tenants are replaced, restarted, stopped for
// idleness, evicted, and others crash. Not one request may be lost.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { readGatewayArguments } from './arguments.mjs';
import { makeTenants } from './tenants.mjs';

/** Of ten changes one is a crash. */
const kindOf = (/** @type {number} */ change) =>
  change % 10 === 0 ? 'crash' : change % 3 === 0 ? 'restart' : 'replace';

/**
 * Starts a program in this folder; its lines are JSON.
 *
 * @param {string} engine
 * @param {string} file
 * @param {readonly unknown[]} args
 */
function start(engine, file, args) {
  const child = spawn(
    engine,
    [fileURLToPath(new URL(file, import.meta.url)), ...args.map(String)],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  process.on('exit', () => child.kill('SIGKILL'));
  return { child, lines: createInterface({ input: child.stdout }), ended: once(child, 'exit') };
}

/** @returns {Promise<number>} the exit code */
async function run() {
  const { requests, changes, engine, seed } = readGatewayArguments();
  const root = mkdtempSync(join(tmpdir(), 'runtime-soak-gateway-'));
  process.on('exit', () => rmSync(root, { recursive: true, force: true }));
  makeTenants(root);
  const startedAt = performance.now();
  const host = start(engine === 'bun' ? process.execPath : 'node', 'host.mjs', [root, seed]);
  const words = host.lines[Symbol.asyncIterator]();
  const { port } = JSON.parse((await words.next()).value ?? '{}');
  const client = start('node', 'client.mjs', [port, requests, seed]);
  let [changed, lost] = [0, requests];
  for await (const line of client.lines) {
    const said = JSON.parse(line);
    if ('processes' in said) {
      lost = said.lost;
      console.log(line);
    } else if (said.lost) {
      console.log(`✘ lost: ${line}`);
    } else {
      for (; changed < (said.done / requests) * changes; changed += 1) {
        host.child.stdin.write(`${kindOf(changed)}\n`);
      }
    }
  }
  host.child.stdin.end();
  console.log((await words.next()).value);
  await Promise.all([host.ended, client.ended]);
  const seconds = Math.round((performance.now() - startedAt) / 1e3);
  console.log(
    `${lost ? '✘' : '✔'} ${lost} of ${requests} requests were lost, in ${changed} changes and ${seconds} s`,
  );
  return lost ? 1 : 0;
}

process.exitCode = await run();
