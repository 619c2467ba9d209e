// Adopts a process that then ends, and whose pid is reused before the host has been told. Runs in
// a pid namespace of its own. Argument: root.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRuntime } from '@absolutejs/runtime';
import { say } from './words.mjs';

const [root = ''] = process.argv.slice(2);
const runtime = createRuntime({ source: { kind: 'directory', root }, idleAfterMs: 0 });
const shell = (/** @type {string} */ script) =>
  Number(execFileSync('sh', ['-c', script], { cwd: root }));
const sleep = (/** @type {string} */ by) => `${by} sleep 1000 </dev/null >/dev/null 2>&1 & echo $!`;

/** A shell script that ends the process, and starts others until one gets its pid. */
const recycle = (/** @type {number} */ pid, /** @type {string} */ by) => `
kill -KILL ${pid}
while kill -0 ${pid} 2>/dev/null; do sleep 0.01; done
for try in $(seq 200); do
  echo ${pid - 1} > /proc/sys/kernel/ns_last_pid
  ${by} sleep 1000 </dev/null >/dev/null 2>&1 &
  if [ $! = ${pid} ]; then break; fi
  kill -KILL $!
done
echo $!`;

function isAlive(/** @type {number} */ pid) {
  try {
    return !/ Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

for (const [whose, by] of Object.entries({ alone: '', 'with its group': 'setsid' })) {
  const pid = shell(sleep(by));
  await runtime.adopt(whose, { pid }, { port: 4000 });
  const isSamePid = shell(recycle(pid, by)) === pid;
  // The end of the adopted process has not been reported yet.
  await runtime.kill(whose);
  const startedAt = Date.now() - 60_000;
  const error = await runtime
    .adopt('again', { pid }, { port: 4000, startedAt })
    .catch((error) => error);
  say(whose, { isSamePid, isAlive: isAlive(pid), code: error.code });
  process.kill(pid, 'SIGKILL');
}
