// Uses the runtime in every way again and again, and prints which descriptors and threads are
// left. Arguments: root, keys, how many rounds.
import { createRuntime } from '@absolutejs/runtime';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { say } from './words.mjs';

const [root = '', keyList = '', rounds = '1'] = process.argv.slice(2);
const keys = keyList.split(',');
const DEADLINE_MS = 10_000;

const descriptors = () => readdirSync('/proc/self/fd').length;
const threads = () =>
  readdirSync('/proc/self/task').flatMap((thread) => {
    try {
      return readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim();
    } catch {
      return [];
    }
  });
const ours = () => threads().filter((name) => /^(abs-|tokio)/.test(name));
const children = () => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();

/** Two runtimes at once, every kind of start and end. */
async function round() {
  const runtimes = [0, 1].map(() =>
    createRuntime({
      source: { kind: 'directory', root },
      observeIntervalMs: 10,
      stopTimeoutMs: 300,
      backoff: { baseMs: 0 },
      onLog() {},
      onMetrics() {},
    }),
  );
  const unused = createRuntime({ source: { kind: 'directory', root } });
  await Promise.all(
    runtimes.flatMap((runtime) => [
      ...keys.map((key) => runtime.ensure(key)),
      runtime.ensure('absent').catch(() => {}),
      runtime.ensure('crashes').catch(() => {}),
    ]),
  );
  const [first = unused, second = unused] = runtimes;
  await Promise.all([
    first.kill(keys[0] ?? ''),
    first.restart(keys[1] ?? ''),
    second.kill(keys[1] ?? ''),
  ]);
  const starting = second.ensure('slow').catch(() => {});
  await Promise.all([first, second, unused].map((runtime) => runtime.dispose()));
  await starting;
}

await round();
await round();
const before = { descriptors: descriptors(), threads: threads().length };
for (let done = 0; done < Number(rounds); done++) await round();
const deadline = performance.now() + DEADLINE_MS;
while (performance.now() < deadline && (descriptors() > before.descriptors || ours().length > 0)) {
  await delay(5);
}
say('after', {
  descriptors: descriptors() - before.descriptors,
  threads: threads().length - before.threads,
  ours: ours(),
  children: children(),
});
