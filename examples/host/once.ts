// `npm run demo -- --once`: the demo tests itself. It does the steps in order, prints the result
// and duration of each, and stops at the first one that fails.
import { startDemo } from './demo.ts';
import { checkNothingIsLeft, noteOtherProcesses } from './once-processes.ts';
import { steps, type Context } from './once-steps.ts';

const OVERALL_TIMEOUT_MS = 90_000;
const IDLE_AFTER_MS = 2_500;

/** Resolves with the exit code: 0 only if every step succeeded. */
export async function once(): Promise<number> {
  const others = await noteOtherProcesses();
  const startedAt = performance.now();
  const demo = await startDemo(
    {
      idleAfterMs: IDLE_AFTER_MS,
      sweepIntervalMs: 250,
      observeIntervalMs: 500,
      backoff: { baseMs: 5_000 },
    },
    0,
  );
  console.log(
    `The demo host listens on port ${demo.port}; idle tenants are stopped after ${IDLE_AFTER_MS} ms.\n`,
  );
  const context: Context = { demo, idleAfterMs: IDLE_AFTER_MS, pids: new Set() };
  const giveUp = setTimeout(() => {
    console.log(`\n✘ still not finished after ${OVERALL_TIMEOUT_MS / 1000} s`);
    process.exit(1);
  }, OVERALL_TIMEOUT_MS);

  let failed = false;
  for (const { name, run } of steps) failed ||= !(await tell(name, () => run(context)));
  // Also after a failed step: no process may be left behind.
  const clean = await tell('dispose', async () => {
    await demo.stop();
    return checkNothingIsLeft(context, others);
  });

  clearTimeout(giveUp);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(
    failed || !clean
      ? `\nNot everything happened (${seconds} s).`
      : `\nAll of it happened, in ${seconds} s.`,
  );
  return failed || !clean ? 1 : 0;
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
