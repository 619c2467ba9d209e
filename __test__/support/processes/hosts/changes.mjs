// Starts a tenant, changes its own user, priority or limits, starts another tenant, and prints
// what this one and a plain child have. Arguments: root, what to change.
import { createRuntime } from '@absolutejs/runtime';
import { spawnSync } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { say, told } from './words.mjs';

const [root = '', what = ''] = process.argv.slice(2);

/** A shell script that prints its inherited attributes. */
const SPY = `
grep -E '^(Uid|Gid|Groups|Umask|Cap|NoNewPrivs|Seccomp|Cpus_allowed)' /proc/self/status
cat /proc/self/oom_score_adj /proc/self/limits
echo nice $(nice)
`;

const CHANGES = {
  share() {
    process.umask(0o027);
    setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);
    run(
      `echo 300 >/proc/${process.pid}/oom_score_adj; prlimit --pid ${process.pid} --core=12345:23456`,
    );
  },
  rights() {
    process.umask(0o077);
    process.setgroups?.([65_533]);
    process.setgid?.(65_534);
    process.setuid?.(65_534);
  },
};

/** @param {string} script */
const run = (script) => spawnSync('sh', ['-c', script]).stdout.toString();

/** @type {Map<string, string[]>} */
const lines = new Map();
/** @type {(() => void) | undefined} */
let printed;
const runtime = createRuntime({
  source: { kind: 'directory', root },
  command: ['sh', '-c', `${SPY}\necho end; exec sleep 1000`],
  readiness: async () => true,
  onLog({ key, line }) {
    lines.set(key, [...(lines.get(key) ?? []), line]);
    if (line === 'end') printed?.();
  },
  onTransition: (event) => event.type === 'exit' && say('exit', event),
});

/** @param {string} key */
async function seenBy(key) {
  const isPrinted = new Promise((resolve) => (printed = () => resolve(undefined)));
  const { pid } = await runtime.ensure(key);
  await isPrinted;
  return { pid, seen: lines.get(key)?.slice(0, -1) };
}

// Keeps the host alive: it waits for lines below, and not for calls.
const alive = setInterval(() => {}, 60_000);
const first = await seenBy('before');
CHANGES[/** @type {'share' | 'rights'} */ (what)]();
const plain = run(SPY).trim().split('\n');
const [second, third] = [await seenBy('after'), await seenBy('later')];
say('seen', { first, plain, second, third });
await told();
await runtime.kill('before');
say('killed');
await runtime.dispose();
say('disposed');
clearInterval(alive);
