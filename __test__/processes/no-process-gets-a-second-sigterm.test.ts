// A stop sends a server exactly one SIGTERM through any wrapper, and lets it end in its own time:
// many programs exit at once on a second one. The same holds for a process that was adopted by its
// pid and leads a process group.
import { expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createPool, until } from '../support/processes/index.ts';

/**
 * A server that records each SIGTERM in a file, and ends after a grace period, serving meanwhile.
 */
const recorder = (graceMs: number, on: 'on' | 'once' = 'on') => `
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
const answer = (request, response) =>
  setTimeout(() => response.end('ok'), request.url === '/slow' ? ${graceMs / 2} : 0);
let asked = false;
process.${on}('SIGTERM', () => {
  appendFileSync('terms', 'TERM\\n');
  if (asked) return;
  asked = true;
  setTimeout(() => {
    appendFileSync('terms', 'finished\\n');
    process.exit(0);
  }, ${graceMs});
});
createServer(answer).listen(Number(process.env.PORT), '127.0.0.1', () => appendFileSync('up', 'up\\n'));
`;

/** A wrapper that starts the server, with handlers of its own for SIGTERM. */
const leader = ({ onTerm = '', atStart = '' }: Start) => `
import { spawn } from 'node:child_process';
${atStart}
const child = spawn('node', ['server.mjs'], { stdio: 'inherit' });
process.on('SIGTERM', () => { ${onTerm} });
child.on('exit', () => process.exit(0));
`;

type Start = {
  start: string;
  command?: string[];
  atStart?: string;
  onTerm?: string;
  leavesGroup?: true;
};

const hasPnpm = spawnSync('pnpm', ['--version']).status === 0;
/** Since Node 22. */
const hasNodeRun = spawnSync('node', ['--help']).stdout.includes('--run');

const starts: Record<string, Start | undefined> = {
  'bun run': { start: 'bun server.mjs' },
  'bun run node': { start: 'node server.mjs' },
  'bun run with more to do': { start: 'true && node server.mjs && true' },
  'npm start': { start: 'node server.mjs', command: ['npm', 'start'] },
  'pnpm start': hasPnpm ? { start: 'node server.mjs', command: ['pnpm', 'start'] } : undefined,
  'node --run': hasNodeRun
    ? { start: 'node server.mjs', command: ['node', '--run', 'start'] }
    : undefined,
  'a shell that waits': { start: '', command: ['sh', '-c', 'node server.mjs & wait'] },
  'a wrapper below a shell': {
    start: 'bun server.mjs',
    command: ['sh', '-c', 'bun run start & wait'],
  },
  'a session of its own': {
    start: '',
    command: ['sh', '-c', 'setsid node server.mjs & wait'],
    leavesGroup: true,
  },
  'a shell that leaves at once': {
    start: '',
    command: ['sh', '-c', "trap 'exit 0' TERM; node server.mjs & wait"],
  },
  'a shell that passes it on and leaves': {
    start: '',
    command: ['sh', '-c', "trap 'kill $child; exit 0' TERM; node server.mjs & child=$!; wait"],
  },
  'a leader that passes nothing on': {
    start: '',
    command: ['node', 'leader.mjs'],
    onTerm: 'setTimeout(() => process.exit(0), 200)',
  },
  'a leader that passes it on and waits': {
    start: '',
    command: ['node', 'leader.mjs'],
    onTerm: "child.kill('SIGTERM')",
  },
  'a leader that passes it on and leaves': {
    start: '',
    command: ['node', 'leader.mjs'],
    onTerm: "child.kill('SIGTERM'); process.exit(0)",
  },
  'a leader that passes it on and leaves when a thread of its own is ready': {
    start: '',
    command: ['node', 'leader.mjs'],
    atStart: `
      import { Worker } from 'node:worker_threads';
      const turns = new Int32Array(new SharedArrayBuffer(4));
      const code = \`
        const { workerData: turns } = require('node:worker_threads');
        Atomics.wait(turns, 0, 0);
        for (const end = Date.now() + 30; Date.now() < end; );
        Atomics.store(turns, 0, 2);
        Atomics.notify(turns, 0);\`;
      new Worker(code, { eval: true, workerData: turns });`,
    onTerm: `
      Atomics.store(turns, 0, 1);
      Atomics.notify(turns, 0);
      Atomics.wait(turns, 0, 1);
      child.kill('SIGTERM');
      process.exit(0)`,
  },
};

async function stopped(name: string, start: Start, server: string, load = false) {
  const { command } = start;
  await using pool = createPool({ stopTimeoutMs: 20_000, ...(command && { command }) });
  pool.tenants.add('app', {
    start: start.start,
    'server.mjs': server,
    'leader.mjs': leader(start),
  });
  const { port } = await pool.runtime.ensure('app');
  let isOver = false;
  const answered = load
    ? fetch(`http://127.0.0.1:${port}/slow`).then((response) => response.text())
    : Promise.resolve('ok');
  const visitor = (async () => {
    while (load && !isOver) await fetch(`http://127.0.0.1:${port}/`).catch(() => {});
  })();
  // The slow request is under way once another is answered.
  if (load) await fetch(`http://127.0.0.1:${port}/`);
  await pool.runtime.kill('app');
  isOver = true;
  await visitor;
  const terms = readFileSync(join(pool.tenants.root, 'app', 'terms'), 'utf8');
  expect({ name, terms, answer: await answered }).toEqual({
    name,
    terms: 'TERM\nfinished\n',
    answer: 'ok',
  });
  await pool.dispose();
}

/**
 * Adopts a process in a process group of its own, as an earlier host may leave it, and stops it.
 */
async function stoppedAfterAdoption(name: string, start: Start, server: string) {
  const { command } = start;
  await using pool = createPool({ stopTimeoutMs: 20_000 });
  pool.tenants.add('app', {
    start: start.start,
    'server.mjs': server,
    'leader.mjs': leader(start),
  });
  const cwd = join(pool.tenants.root, 'app');
  const [program = 'bun', ...rest] = command ?? ['bun', 'run', 'start'];
  const env = { ...process.env, PORT: '0' };
  const { pid = 0 } = spawn(program, rest, { cwd, env, detached: true, stdio: 'ignore' });
  await until('it is up', () => existsSync(join(cwd, 'up')));
  await pool.runtime.adopt('app', { pid });
  await pool.runtime.kill('app');
  const terms = readFileSync(join(cwd, 'terms'), 'utf8');
  expect({ name, terms }).toEqual({ name, terms: 'TERM\nfinished\n' });
  expect(pool.events.of('exit')).toMatchObject([{ reason: 'killed' }]);
  await pool.dispose();
}

for (const [name, start] of Object.entries(starts)) {
  test.skipIf(start === undefined).concurrent(`${name}: three seconds under load`, async () => {
    if (start) await stopped(name, start, recorder(3_000), true);
  });
  test
    .skipIf(start === undefined)
    .concurrent(`${name}: a handler that is there for one signal`, async () => {
      if (start) await stopped(name, start, recorder(300, 'once'));
    });
  const isAdopted = start !== undefined && !start.leavesGroup;
  test.skipIf(!isAdopted).concurrent(`${name}: adopted, and it goes on for a second`, async () => {
    if (start) await stoppedAfterAdoption(name, start, recorder(1_000));
  });
  test
    .skipIf(!isAdopted)
    .concurrent(`${name}: adopted, and a handler that is there for one signal`, async () => {
      if (start) await stoppedAfterAdoption(name, start, recorder(300, 'once'));
    });
}

test('workers of a server that forwards the signal itself', async () => {
  await using pool = createPool({ command: ['node', 'cluster.mjs'], stopTimeoutMs: 20_000 });
  pool.tenants.add('app', {
    'cluster.mjs': `
      import cluster from 'node:cluster';
      import { appendFileSync } from 'node:fs';
      import { createServer } from 'node:http';
      if (cluster.isPrimary) {
        const workers = [cluster.fork(), cluster.fork()];
        process.on('SIGTERM', () => workers.forEach((worker) => worker.process.kill('SIGTERM')));
        cluster.on('exit', () => Object.keys(cluster.workers).length === 0 && process.exit(0));
      } else {
        process.on('SIGTERM', () => {
          appendFileSync('terms', 'TERM\\n');
          setTimeout(() => process.exit(0), 300);
        });
        createServer((_, response) => response.end('ok')).listen(process.env.PORT, '127.0.0.1', () =>
          appendFileSync('up', 'up\\n'),
        );
      }`,
    up: '',
  });
  await pool.runtime.ensure('app');
  const read = (file: string) => readFileSync(join(pool.tenants.root, 'app', file), 'utf8');
  await until('both workers are up', () => read('up') === 'up\nup\n');
  await pool.runtime.kill('app');
  expect(read('terms')).toBe('TERM\nTERM\n');
  await pool.dispose();
});
