// `npm run demo -- --once`: the demo tests itself. It does the steps in order, prints the result
// and duration of each, and stops at the first one that fails.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from './expect.ts';
import { Host } from './host.ts';
import { checkNothingIsLeft, noteOtherProcesses } from './processes.ts';
import { steps, type Context } from './steps.ts';

const OVERALL_TIMEOUT_MS = 120_000;
const IDLE_AFTER_MS = 2_500;

process.exitCode = await once();

/** Resolves with the exit code: 0 only if every step succeeded. */
async function once(): Promise<number> {
  const others = await noteOtherProcesses();
  const directory = mkdtempSync(join(tmpdir(), 'runtime-demo-'));
  const startedAt = performance.now();
  const context = { idleAfterMs: IDLE_AFTER_MS, pids: new Set<number>() } as Context;
  const giveUp = setTimeout(() => {
    console.log(`\n✘ still not finished after ${OVERALL_TIMEOUT_MS / 1000} s`);
    // `serve` ends its tenants, which do not outlive it.
    process.kill(context.host.summary.pid, 'SIGKILL');
    process.exit(1);
  }, OVERALL_TIMEOUT_MS);

  let failed = !(await tell('serve', async () => {
    context.host = await Host.start([
      ...['examples/tenants', '--port', '0', '--dashboard', '127.0.0.1:0'],
      ...['--control', join(directory, 'control.sock'), '--idle', `${IDLE_AFTER_MS}ms`],
    ]);
    const { tenants, protects } = context.host.summary;
    const missing = protects.missing.map((text) => `\nnot kept: ${text}`).join('');
    return `${tenants.length} tenants at port ${context.host.port}, stopped after ${IDLE_AFTER_MS} ms without a request${missing}`;
  }));
  for (const { name, run } of steps) failed ||= !(await tell(name, () => run(context)));
  // Also after a failed step: no process may be left behind.
  if (context.host) failed = !(await tell('end', () => end(context, others))) || failed;

  clearTimeout(giveUp);
  rmSync(directory, { recursive: true, force: true });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(
    failed ? `\nNot everything happened (${seconds} s).` : `\nAll of it happened, in ${seconds} s.`,
  );
  return failed ? 1 : 0;
}

async function end(context: Context, others: Set<number>): Promise<string> {
  const { host } = context;
  const code = await host.stop();
  expect(code === 0, `serve ended with ${code} after SIGTERM`);
  expect(!existsSync(host.summary.control), 'the control socket is still there');
  return `serve ended with 0 after SIGTERM; ${await checkNothingIsLeft(context, others)}`;
}

async function tell(name: string, action: () => Promise<string>): Promise<boolean> {
  const startedAt = performance.now();
  const line = (mark: string, account: string) => {
    const took = `${(performance.now() - startedAt).toFixed(0)} ms`;
    console.log(
      `${mark} ${name.padEnd(10)} ${took.padStart(8)}   ${account.replaceAll('\n', `\n${' '.repeat(24)}`)}`,
    );
  };
  try {
    line('✔', await action());
    return true;
  } catch (error) {
    line('✘', error instanceof Error ? error.message : String(error));
    return false;
  }
}
