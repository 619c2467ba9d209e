// The steps of `--once`, in order. A step returns a text about what it saw, or throws when
// something is wrong.
import type { RuntimeTransitionEvent } from '@absolutejs/runtime';
import type { Demo } from './demo.ts';
import './no-proxy.ts';
import { request, Socket } from './once-client.ts';
import { isAlive, processTree } from './once-processes.ts';

export interface Context {
  demo: Demo;
  idleAfterMs: number;
  /** Every process of a tenant that was seen, the children of start scripts included. */
  pids: Set<number>;
}

/** How much later than a visitor the page knows. */
const SHOWN_WITHIN_MS = 2_000;

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
  { name: 'page', run: livePage },
];

async function wake(context: Context): Promise<string> {
  const response = await request(context.demo, 'hello', '/');
  await expectBody(response, 200, `Hello, hello.localhost:${context.demo.port}`);
  const { pid, port } = await awake(context, 'hello');
  return `the first request started hello (pid ${pid}, port ${port}) and was answered`;
}

async function reuse(context: Context): Promise<string> {
  const before = await awake(context, 'hello');
  const responses = await Promise.all(
    Array.from({ length: 20 }, () => request(context.demo, 'hello', '/')),
  );
  for (const response of responses) await expectBody(response, 200, 'Hello');
  const after = await awake(context, 'hello');
  expect(after.pid === before.pid, `the pid changed from ${before.pid} to ${after.pid}`);
  const starts = count(context, 'hello', 'spawn');
  expect(starts === 1, `hello was started ${starts} times`);
  return `20 more requests were answered by the same process (pid ${after.pid})`;
}

async function stream(context: Context): Promise<string> {
  const startedAt = performance.now();
  const response = await request(context.demo, 'hello', '/stream');
  const reader = (response.body ?? fail('no body')).getReader();
  await reader.read();
  const firstMs = performance.now() - startedAt;
  while (!(await reader.read()).done);
  const lastMs = performance.now() - startedAt;
  expect(lastMs - firstMs > 500, 'the response came in one piece');
  const sent = crypto.getRandomValues(new Uint8Array(50_000));
  const echoed = await request(context.demo, 'hello', '/echo', {
    method: 'POST',
    body: inParts(sent),
  });
  expect(Buffer.from(await echoed.arrayBuffer()).equals(sent), 'the upload came back changed');
  return `first part after ${firstMs.toFixed(0)} ms, last after ${lastMs.toFixed(0)} ms; an upload in parts came back whole`;
}

async function webSocket(context: Context): Promise<string> {
  const socket = await Socket.open(context.demo, 'chat-websocket', '/echo', ['echo.v1']);
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
  const text = `written at ${new Date().toISOString()}`;
  const written = await request(context.demo, 'notes-sqlite', '/notes', {
    method: 'POST',
    body: text,
  });
  expect(written.status === 201, `writing answered ${written.status}`);
  await awake(context, 'notes-sqlite');
  const { id } = (await written.json()) as { id: number };
  const response = await request(context.demo, 'notes-sqlite', '/notes');
  const notes = (await response.json()) as { id: number; text: string }[];
  expect(
    notes.some((note) => note.id === id && note.text === text),
    'the note is not there',
  );
  await request(context.demo, 'notes-sqlite', `/notes/${id}`, { method: 'DELETE' });
  return `note ${id} was written, read back and removed`;
}

async function crash(context: Context): Promise<string> {
  const response = await request(context.demo, 'crashes', '/');
  const page = await expectBody(response, 502, '<h1>502');
  expect(!page.includes('DATABASE_URL'), `visitors are told what the tenant printed: ${page}`);
  await untilShown(
    context.demo,
    'the page does not show why it crashed',
    () =>
      context.demo.board
        .row('crashes')
        ?.lines.some(({ line }) => line === 'DATABASE_URL is not set') ?? false,
  );
  return 'a visitor got 502 and a plain page; the live page shows the last lines of crashes';
}

async function backOff(context: Context): Promise<string> {
  const response = await request(context.demo, 'crashes', '/');
  const seconds = response.headers.get('retry-after');
  await expectBody(response, 503, '<h1>503');
  expect(Number(seconds) >= 1 && Number(seconds) <= 5, `Retry-After is ${seconds}`);
  const starts = count(context, 'crashes', 'spawn');
  expect(starts === 1, `crashes was started ${starts} times`);
  return `503 at once, Retry-After: ${seconds}, and no new process`;
}

async function hold(context: Context): Promise<string> {
  const startedAt = performance.now();
  const responses = await Promise.all(
    ['/', '/again'].map((path) => request(context.demo, 'slow', path)),
  );
  const heldMs = performance.now() - startedAt;
  for (const response of responses) await expectBody(response, 200, 'Worth the wait');
  await awake(context, 'slow');
  const starts = count(context, 'slow', 'spawn');
  expect(heldMs > 2_900, `answered after ${heldMs.toFixed(0)} ms already`);
  expect(starts === 1, `slow was started ${starts} times`);
  return `two requests were held for ${heldMs.toFixed(0)} ms while one process of slow started`;
}

/** `hello` gets no requests and is stopped; the chat is kept by a WebSocket that says nothing. */
async function idle(context: Context): Promise<string> {
  const { demo, idleAfterMs } = context;
  await request(demo, 'hello', '/').then((response) => response.body?.cancel());
  const { pid } = await awake(context, 'hello');
  const tree = await processTree(pid);
  const stopsBefore = count(context, 'hello', 'idle-kill');
  const socket = await Socket.open(demo, 'chat-websocket', '/echo');
  const chat = await awake(context, 'chat-websocket');
  const startedAt = performance.now();
  while (count(context, 'hello', 'exit') <= stopsBefore) {
    expect(performance.now() - startedAt < 2 * idleAfterMs + 6_000, 'hello was not stopped');
    await Bun.sleep(100);
  }
  const stoppedMs = performance.now() - startedAt;
  const left = tree.filter(isAlive);
  expect(left.length === 0, `of hello's processes ${left.join(', ')} are still there`);
  const exit = demo.board.transitions.findLast(
    ({ event }) => event.type === 'exit' && event.pid === pid,
  )?.event;
  expect(
    exit?.type === 'exit' && exit.reason === 'idle-killed',
    `hello ended as ${JSON.stringify(exit)}`,
  );
  const chatNow = await awake(context, 'chat-websocket');
  expect(
    chatNow.pid === chat.pid && isAlive(chat.pid),
    'the chat was stopped in the middle of a conversation',
  );
  socket.close();
  return `hello was stopped after ${stoppedMs.toFixed(0)} ms alone, its ${tree.length} processes are gone; the chat, in use, was kept`;
}

async function wakeAgain(context: Context): Promise<string> {
  await expectBody(await request(context.demo, 'hello', '/'), 200, 'Hello');
  const { pid } = await awake(context, 'hello');
  return `the next request started hello afresh (pid ${pid})`;
}

async function livePage({ demo }: Context): Promise<string> {
  const at = `http://127.0.0.1:${demo.pagePort}`;
  await expectBody(await fetch(at), 200, '<title>Tenants</title>');
  const events = (await fetch(`${at}/events`)).body?.getReader() ?? fail('no events');
  const { value } = await events.read();
  await events.cancel();
  const { stats, tenants } = JSON.parse(
    Buffer.from(value ?? [])
      .toString()
      .replace(/^data: /, ''),
  );
  expect(tenants.length === 5, `the page knows ${tenants.length} tenants`);
  expect(
    (await request(demo, 'no-such-tenant', '/')).status === 404,
    'an unknown tenant was not answered with 404',
  );
  return `the page shows ${tenants.length} tenants, ${stats.running} of them running; an unknown one is answered with 404`;
}

/**
 * Resolves once the page shows it: the gateway answers without JavaScript, which hears of a start or
 * an exit a moment later.
 */
function untilShown({ board }: Demo, otherwise: string, isShown: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (!isShown()) return;
      clearTimeout(late);
      stop();
      resolve();
    };
    const stop = board.onChange(look);
    const late = setTimeout(() => {
      stop();
      reject(new Error(otherwise));
    }, SHOWN_WITHIN_MS);
    look();
  });
}

/** The running tenant as the page shows it. Records its processes for the check at the end. */
async function awake(
  { demo, pids }: Context,
  name: string,
): Promise<{ pid: number; port: number }> {
  const row = demo.board.row(name) ?? fail(`${name} is unknown`);
  await untilShown(demo, `${name} is ${row.state}`, () => row.state === 'awake');
  const { pid, port } = row;
  if (pid === null || port === null) return fail(`${name} has no process`);
  expect(isAlive(pid), `${name}'s process ${pid} is not there`);
  for (const member of await processTree(pid)) pids.add(member);
  return { pid, port };
}

function count({ demo }: Context, name: string, type: RuntimeTransitionEvent['type']): number {
  return demo.board.transitions.filter(
    ({ event }) => event.type === type && 'key' in event && event.key === name,
  ).length;
}

async function* inParts(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += 10_000) {
    yield bytes.subarray(start, start + 10_000);
    await Bun.sleep(10);
  }
}

async function expectBody(response: Response, status: number, text: string): Promise<string> {
  const body = await response.text();
  expect(response.status === status, `expected ${status}, got ${response.status}: ${body}`);
  expect(body.includes(text), `expected "${text}" in: ${body}`);
  return body;
}

function expect(condition: boolean, message: string): asserts condition {
  if (!condition) fail(message);
}

function fail(message: string): never {
  throw new Error(message);
}
