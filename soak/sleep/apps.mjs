// The apps of the soak of a day's traffic. Each counts its visits in memory, and says with each
// answer who it is: its key, the process that has run its start script, and a name that each of its
// processes gives to itself. The runtime asks it too, whether it answers, and is no visitor.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What visitors ask for. */
export const PATH = '/visit';

const ABOUT = `
const boot = crypto.randomUUID();
let count = 0;
const about = (more) => JSON.stringify({ key: process.env.TENANT_KEY, pid: process.ppid, boot, count: (count += 1), ...more });
`;

/** Bun's server; `answer` says what the answer has besides. @param {string} answer */
const bunServer = (answer) => `
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  fetch: async ({ url }) => new Response(url.endsWith('${PATH}') ? about(${answer}) : ''),
});`;

/**
 * A kind's source; what its server is run by; and how many of a hundred apps are of it.
 *
 * @type {Record<string, { source: string, engine?: 'node', weight: number }>}
 */
const KINDS = {
  bun: { weight: 44, source: ABOUT + bunServer('{}') },
  node: {
    weight: 15,
    engine: 'node',
    source: `import { createServer } from 'node:http';${ABOUT}
createServer(({ url }, response) => response.end(url === '${PATH}' ? about() : '')).listen(Number(process.env.PORT), '127.0.0.1');`,
  },
  express: {
    weight: 10,
    source: `import express from 'express';${ABOUT}
express().get('${PATH}', (_, response) => response.send(about())).listen(Number(process.env.PORT), '127.0.0.1');`,
  },
  /** Its seconds are those since it was started: its timer catches up on those it has slept. */
  timer: {
    weight: 10,
    source: `${ABOUT}
const bornAt = Date.now();
let [seconds, ticked] = [0, Promise.withResolvers()];
setInterval(() => {
  while (bornAt + (seconds + 1) * 1_000 <= Date.now()) seconds += 1;
  ticked.resolve();
  ticked = Promise.withResolvers();
}, 1_000);
${bunServer('await ticked.promise.then(() => ({ seconds, ms: Date.now() - bornAt }))')}`,
  },
  /** Its timer cannot catch up: `shouldSleep` keeps it awake. */
  kept: {
    weight: 1,
    source: `${ABOUT}
const bornAt = Date.now();
let seconds = 0;
setInterval(() => (seconds += 1), 1_000);
${bunServer('{ seconds, ms: Date.now() - bornAt }')}`,
  },
  /**
   * Each request leaves ten jobs, which take longer than it stays awake; it is answered once those
   * of the requests before are done.
   */
  queue: {
    weight: 12,
    source: `${ABOUT}
const JOBS = 10;
let [accepted, done, last] = [0, [], Promise.resolve()];
async function enqueue() {
  await last;
  const before = [...done];
  for (let job = 0; job < JOBS; job += 1) {
    const number = (accepted += 1);
    last = last.then(() => Bun.sleep(300)).then(() => void done.push(number));
  }
  return { accepted, done: before.length, isInOrder: before.every((number, index) => number === index + 1) };
}
${bunServer('await enqueue()')}`,
  },
  /** It counts in a database of its own, too, which outlives its process. */
  sqlite: {
    weight: 6,
    source: `import { Database } from 'bun:sqlite';${ABOUT}
const database = new Database('visits.sqlite');
database.run('create table if not exists visits (at integer)');
const visit = database.query('insert into visits values (?)');
const all = database.query('select count(*) as total from visits');
${bunServer('(visit.run(Date.now()), all.get())')}`,
  },
  /** A client holds a WebSocket open, which keeps it awake. */
  socket: {
    weight: 2,
    source: `${ABOUT}
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  fetch: (request, server) => server.upgrade(request) ? undefined : new Response(request.url.endsWith('${PATH}') ? about() : ''),
  websocket: { message: (socket) => void socket.send(about()) },
});`,
  },
  /** It listens on UDP, which keeps it awake. */
  udp: {
    weight: 1,
    source: `${ABOUT}
const socket = await Bun.udpSocket({
  hostname: '127.0.0.1',
  socket: { data: (socket, data, port, address) => void socket.send(data + ' ' + boot, port, address) },
});
${bunServer('{ udpPort: socket.port }')}`,
  },
};

export const kindOf = (/** @type {string} */ key) => key.slice(0, key.indexOf('-'));

/** Those that never sleep. */
export const AWAKE = ['kept', 'socket', 'udp'];

/** The keys of so many apps: one of each kind, and more by their weights. @param {number} count */
export function keysOf(count, hasExpress = true) {
  const kinds = Object.entries(KINDS).filter(([kind]) => hasExpress || kind !== 'express');
  const all = kinds.reduce((sum, [, { weight }]) => sum + weight, 0);
  const keys = kinds.flatMap(([kind, { weight }]) => {
    const each = Math.max(1, Math.floor((count * weight) / all));
    return Array.from({ length: each }, (_, index) => `${kind}-${index}`);
  });
  const others = Math.max(0, count - keys.length);
  return [...keys, ...Array.from({ length: others }, (_, index) => `bun-more-${index}`)];
}

/**
 * Makes their directories.
 *
 * @param {string} root
 * @param {readonly string[]} keys
 * @param {string} modules where express is
 */
export function makeApps(root, keys, modules) {
  for (const key of keys) {
    const { source, engine = 'bun' } = KINDS[kindOf(key)] ?? {};
    mkdirSync(join(root, key));
    writeFileSync(join(root, key, 'server.mjs'), source ?? '');
    const start = `exec ${engine} server.mjs`;
    writeFileSync(join(root, key, 'package.json'), JSON.stringify({ scripts: { start } }));
    if (kindOf(key) === 'express') symlinkSync(modules, join(root, key, 'node_modules'));
  }
}
