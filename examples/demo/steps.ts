// The steps of `--once`, in order: what visitors get, and what operators see of it. A step returns a
// text about what it saw, or throws when something is wrong.
import './no-proxy.ts';
import { dashboard } from './dashboard-step.ts';
import { expect, expectBody, fail, seen } from './expect.ts';
import type { Host } from './host.ts';
import { isAlive, processTree } from './processes.ts';
import { Socket } from './socket.ts';

export interface Context {
  host: Host;
  idleAfterMs: number;
  /** Every process of a tenant that was seen, the children of start scripts included. */
  pids: Set<number>;
}

interface Step {
  name: string;
  run(context: Context): Promise<string>;
}

export const steps: Step[] = [
  { name: 'wake', run: wake },
  { name: 'reuse', run: reuse },
  { name: 'stream', run: stream },
  { name: 'websocket', run: webSocket },
  { name: 'sqlite', run: sqlite },
  { name: 'crash', run: crash },
  { name: 'back-off', run: backOff },
  { name: 'hold', run: hold },
  { name: 'idle', run: idle },
  { name: 'wake again', run: wakeAgain },
  { name: 'replace', run: replace },
  { name: 'dashboard', run: dashboard },
];

async function wake(context: Context): Promise<string> {
  const { host } = context;
  await expectBody(await host.request('hello', '/'), 200, `Hello, ${host.nameOf('hello')}`);
  const { pid, port } = await awake(context, 'hello');
  return `the first request started hello (pid ${pid}, port ${port}) and was answered`;
}

async function reuse(context: Context): Promise<string> {
  const before = await awake(context, 'hello');
  const responses = await Promise.all(
    Array.from({ length: 20 }, () => context.host.request('hello', '/')),
  );
  for (const response of responses) await expectBody(response, 200, 'Hello');
  const after = await awake(context, 'hello');
  expect(after.pid === before.pid, `the pid changed from ${before.pid} to ${after.pid}`);
  expect(after.starts === 1, `hello was started ${after.starts} times`);
  return `20 more requests were answered by the same process (pid ${after.pid})`;
}

async function stream({ host }: Context): Promise<string> {
  const startedAt = performance.now();
  const response = await host.request('hello', '/stream');
  const reader = (response.body ?? fail('no body')).getReader();
  await reader.read();
  const firstMs = performance.now() - startedAt;
  while (!(await reader.read()).done);
  const lastMs = performance.now() - startedAt;
  expect(lastMs - firstMs > 500, 'the response came in one piece');
  const sent = crypto.getRandomValues(new Uint8Array(50_000));
  const echoed = await host.request('hello', '/echo', { method: 'POST', body: inParts(sent) });
  expect(Buffer.from(await echoed.arrayBuffer()).equals(sent), 'the upload came back changed');
  return `first part after ${firstMs.toFixed(0)} ms, last after ${lastMs.toFixed(0)} ms; an upload in parts came back whole`;
}

async function webSocket(context: Context): Promise<string> {
  const socket = await Socket.open(context.host, 'chat-websocket', '/echo', ['echo.v1']);
  await awake(context, 'chat-websocket');
  expect(socket.protocol === 'echo.v1', `the subprotocol is "${socket.protocol}"`);
  socket.send('hello, socket');
  expect((await socket.next()) === 'hello, socket', 'the text came back changed');
  socket.send(new Uint8Array([0, 1, 254, 255]));
  const binary = await socket.next();
  expect(
    binary instanceof Uint8Array && binary.join() === '0,1,254,255',
    'the bytes came back changed',
  );
  socket.send('close, please');
  const { code, reason } = await socket.closed;
  expect(code === 4321 && reason === 'as you asked', `closed with ${code} "${reason}"`);
  return `text and bytes were echoed, subprotocol ${socket.protocol}; closed with ${code} "${reason}"`;
}

async function sqlite(context: Context): Promise<string> {
  const { host } = context;
  const text = `written at ${new Date().toISOString()}`;
  const written = await host.request('notes-sqlite', '/notes', { method: 'POST', body: text });
  expect(written.status === 201, `writing answered ${written.status}`);
  await awake(context, 'notes-sqlite');
  const { id } = (await written.json()) as { id: number };
  const response = await host.request('notes-sqlite', '/notes');
  const notes = (await response.json()) as { id: number; text: string }[];
  expect(
    notes.some((note) => note.id === id && note.text === text),
    'the note is not there',
  );
  await host.request('notes-sqlite', `/notes/${id}`, { method: 'DELETE' });
  return `note ${id} was written, read back and removed`;
}

async function crash({ host }: Context): Promise<string> {
  const page = await expectBody(await host.request('crashes', '/'), 502, '<h1>502');
  expect(!page.includes('DATABASE_URL'), `visitors are told what the tenant printed: ${page}`);
  const { problem } = await seen('ps does not show that it crashed', async () => {
    const tenant = await host.tenant('crashes');
    return tenant.problem?.lines.includes('DATABASE_URL is not set') && tenant;
  });
  expect(problem?.summary.includes('code 3') === true, `ps says: ${problem?.summary}`);
  const printed = await host.command('logs', 'crashes', '--grep', 'DATABASE');
  expect(printed.includes('DATABASE_URL is not set'), `logs shows: ${printed}`);
  return `a visitor got 502 and a plain page; ps says "${problem.summary}", logs why`;
}

/** Asked at once, since the first back-off is a second. */
async function backOff({ host }: Context): Promise<string> {
  const { starts } = await host.tenant('crashes');
  const { attempt } = JSON.parse(await host.command('clear', 'crashes', '--json'));
  expect(attempt === 0, `after clear it has failed ${attempt} times in a row`);
  await expectBody(await host.request('crashes', '/'), 502, '<h1>502');
  const response = await host.request('crashes', '/');
  const seconds = Number(response.headers.get('retry-after'));
  await expectBody(response, 503, '<h1>503');
  expect(seconds >= 1, `Retry-After is ${seconds}`);
  const after = await seen('ps does not show another start', async () => {
    const tenant = await host.tenant('crashes');
    return tenant.starts > starts && tenant;
  });
  expect(after.starts === starts + 1, `crashes was started ${after.starts - starts} times`);
  return `after clear it was started at once; then 503, Retry-After: ${seconds}, and no new process`;
}

async function hold(context: Context): Promise<string> {
  const startedAt = performance.now();
  const responses = await Promise.all(
    ['/', '/again'].map((path) => context.host.request('slow', path)),
  );
  const heldMs = performance.now() - startedAt;
  for (const response of responses) await expectBody(response, 200, 'Worth the wait');
  const { starts } = await awake(context, 'slow');
  expect(heldMs > 2_900, `answered after ${heldMs.toFixed(0)} ms already`);
  expect(starts === 1, `slow was started ${starts} times`);
  return `two requests were held for ${heldMs.toFixed(0)} ms while one process of slow started`;
}

/** `hello` gets no requests and is stopped; the chat is kept by a WebSocket that says nothing. */
async function idle(context: Context): Promise<string> {
  const { host, idleAfterMs } = context;
  const socket = await Socket.open(host, 'chat-websocket', '/echo');
  const chat = await awake(context, 'chat-websocket');
  await host.request('hello', '/').then((response) => response.body?.cancel());
  const startedAt = performance.now();
  const { pid } = await awake(context, 'hello');
  const tree = await processTree(pid);
  const exit = await seen(
    'hello was not stopped',
    async () => (await host.events('hello')).find((e) => e.type === 'exit' && e.pid === pid),
    2 * idleAfterMs + 20_000,
  );
  const stoppedMs = performance.now() - startedAt;
  const left = tree.filter(isAlive);
  expect(left.length === 0, `of hello's processes ${left.join(', ')} are still there`);
  expect(exit.reason === 'idle-killed', `hello ended as ${JSON.stringify(exit)}`);
  const chatNow = await awake(context, 'chat-websocket');
  expect(
    chatNow.pid === chat.pid && isAlive(chat.pid),
    'the chat was stopped in the middle of a conversation',
  );
  socket.close();
  return `hello was stopped after ${stoppedMs.toFixed(0)} ms alone, its ${tree.length} processes are gone; the chat, in use, was kept`;
}

async function wakeAgain(context: Context): Promise<string> {
  await expectBody(await context.host.request('hello', '/'), 200, 'Hello');
  const { pid } = await awake(context, 'hello');
  return `the next request started hello afresh (pid ${pid})`;
}

/** Visitors come all the time, and each gets an answer. */
async function replace(context: Context): Promise<string> {
  const { host } = context;
  await expectBody(await host.request('hello', '/'), 200, 'Hello');
  const before = await awake(context, 'hello');
  let [isReplaced, answers] = [false, 0];
  const visits = (async () => {
    for (; !isReplaced; answers += 1) {
      await expectBody(await host.request('hello', '/'), 200, 'Hello');
    }
  })();
  const { pid } = JSON.parse(
    await host.command('replace', 'hello', '--json').finally(() => (isReplaced = true)),
  );
  await visits;
  expect(pid !== null && pid !== before.pid, `replace has left process ${pid}`);
  await awake(context, 'hello');
  return `process ${before.pid} of hello became ${pid}; ${answers} requests meanwhile were answered`;
}

/** The running tenant as `ps` shows it. Records its processes for the check at the end. */
async function awake({ host, pids }: Context, key: string) {
  const tenant = await seen(`${key} is not shown as running`, async () => {
    const shown = await host.tenant(key);
    return shown.state === 'running' && shown;
  });
  const { pid, port, starts } = tenant;
  if (pid === null || port === null) return fail(`${key} has no process`);
  expect(isAlive(pid), `${key}'s process ${pid} is not there`);
  for (const member of await processTree(pid)) pids.add(member);
  return { pid, port, starts };
}

async function* inParts(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += 10_000) {
    yield bytes.subarray(start, start + 10_000);
    await Bun.sleep(10);
  }
}
