import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'bun:test';
import { createLogFiles, nameOf } from '../../lib/control/log-files.js';
import { openDesk } from '../support/control/desk.ts';

/** A directory that is gone after the test. */
function place(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'abs-logs-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

const bytesIn = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.log'))
    .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);

const lineOf = (key: string, line: string, at = Date.now()) =>
  ({ key, pid: 7, stream: 'stdout', line, at }) as const;
const query = (more: object) => ({ key: 'app', n: 1_000, before: Infinity, ...more });
const budget = () => ({ steps: 1e9 });

test('what memory has lost is read back from the files', async () => {
  using logs = place();
  await using desk = await openDesk({
    control: { logs: { linesPerTenant: 5, directory: logs.path } },
  });
  const before = Date.now();
  await (await desk.house.ask('hello', `/?times=2000&say=${'line-%23-' + 'x'.repeat(40)}`)).text();
  await desk.line('hello', `line-1999-${'x'.repeat(40)}`);
  const all = await desk.get(`/tenants/hello/logs?n=10000&since=${before}`);
  const numbers = all.lines.flatMap(({ line }: any) => /^line-(\d+)-/.exec(line)?.[1] ?? []);
  expect(numbers).toEqual(Array.from({ length: 2_000 }, (_, number) => String(number)));
  const seqs = all.lines.map(({ seq }: any) => seq);
  expect(seqs).toEqual([...new Set(seqs)].sort((one: any, other: any) => one - other));
  const some = await desk.get(`/tenants/hello/logs?n=2&since=${before}&grep=line-7.-`);
  expect(some.lines.map(({ line }: any) => line.slice(0, 7))).toEqual(['line-78', 'line-79']);
  const { files } = (await desk.get('/host')).logs;
  expect(files).toMatchObject({ directory: logs.path, isFailing: false, droppedLines: 0 });
  expect(files.bytes).toBe(bytesIn(logs.path));
});

test('lines of a host that has ended are there for the next one', async () => {
  using logs = place();
  const before = Date.now();
  {
    await using desk = await openDesk({ control: { logs: { directory: logs.path } } });
    await (await desk.house.ask('hello', '/?say=of-the-first')).text();
    await desk.line('hello', 'of-the-first');
  }
  await using desk = await openDesk({ control: { logs: { directory: logs.path } } });
  const { lines } = await desk.get(`/tenants/hello/logs?since=${before}`);
  expect(lines.map(({ line }: any) => line)).toContain('of-the-first');
  expect(lines.map(({ line }: any) => line)).toContain('\u001b[31mred\u001b[0m');
  expect(lines.at(-1)).toMatchObject({ key: 'hello', stream: 'stdout', seq: 0 });
});

test('all files stay within one bound, and the oldest go first', async () => {
  using logs = place();
  const maxBytes = 200_000;
  const files = createLogFiles({ directory: logs.path, maxBytes }, () => {});
  for (let round = 0; round < 60; round += 1) {
    for (const key of ['app', 'other']) {
      for (let count = 0; count < 50; count += 1) {
        files.add(1, lineOf(key, `${round} ${'y'.repeat(100)}`));
      }
    }
    await files.flush();
    expect(bytesIn(logs.path)).toBeLessThanOrEqual(maxBytes);
    expect(files.state().bytes).toBe(bytesIn(logs.path));
  }
  const left = await files.read(query({}), budget());
  expect(left.at(-1)?.line).toStartWith('59 ');
  expect(Number(left[0]?.line.split(' ')[0])).toBeGreaterThan(10);
  expect(readdirSync(join(logs.path, 'app')).length).toBeGreaterThan(2);
  const next = createLogFiles({ directory: logs.path, maxBytes: 100_000 }, () => {});
  await next.flush();
  expect(bytesIn(logs.path)).toBeLessThanOrEqual(100_000);
});

test('one batch that is larger than a file keeps its end', async () => {
  using logs = place();
  const files = createLogFiles({ directory: logs.path, maxBytes: 65_536 }, () => {});
  for (let count = 0; count < 4_000; count += 1) files.add(1, lineOf('app', `number ${count}`));
  await files.flush();
  expect(bytesIn(logs.path)).toBeLessThanOrEqual(65_536);
  expect((await files.read(query({ n: 1 }), budget()))[0]?.line).toBe('number 3999');
});

test('a directory that cannot be written is told once, breaks nothing, and is tried again', async () => {
  using logs = place();
  const directory = join(logs.path, 'a-file');
  writeFileSync(directory, '');
  const told: ({ code: string } | null)[] = [];
  const files = createLogFiles({ directory, maxBytes: 1e6 }, (problem) => void told.push(problem));
  for (let round = 0; round < 3; round += 1) {
    files.add(1, lineOf('app', `round ${round}`));
    await files.flush();
  }
  expect(told.map((problem) => problem?.code)).toEqual([
    expect.stringMatching(/^E(EXIST|NOTDIR)$/),
  ]);
  expect(files.state()).toMatchObject({ droppedLines: 3, isFailing: true });
  expect(await files.read(query({}), budget())).toEqual([]);
  rmSync(directory);
  files.add(1, lineOf('app', 'after'));
  await files.flush();
  expect(told.length).toBe(2);
  expect(told[1]).toBe(null);
  expect((await files.read(query({}), budget())).map(({ line }) => line)).toEqual(['after']);
});

test('a full disk is a host event, and tenants go on', async () => {
  using logs = place();
  const directory = join(logs.path, 'logs');
  mkdirSync(directory);
  // Every write to this device fails as on a full disk.
  mkdirSync(join(directory, 'hello'));
  symlinkSync('/dev/full', join(directory, 'hello', 'current.log'));
  await using desk = await openDesk({ control: { logs: { directory } } });
  await (await desk.house.ask('hello')).text();
  const told = await desk.eventually('the event', async () => {
    const { events } = await desk.get('/events');
    return events.find(({ type }: any) => type === 'host');
  });
  expect(told).toMatchObject({ key: null, code: 'ENOSPC' });
  expect(told.text).toStartWith('lines are not written to files: ENOSPC');
  expect((await desk.get('/host')).logs.files.isFailing).toBe(true);
  expect(await (await desk.house.ask('hello')).text()).toBe('yes');
});

test('a directory that cannot be made is a host event, and holds nothing up', async () => {
  using file = place();
  const plain = join(file.path, 'plain');
  writeFileSync(plain, '');
  // The kernel says that the first is not there, and also when it is to be made.
  for (const directory of ['/proc/x/logs', plain, join(plain, 'logs')]) {
    await using desk = await openDesk({ control: { logs: { directory } } });
    const told = await desk.eventually('the event', async () => {
      const { events } = await desk.get('/events');
      return events.find(({ type }: any) => type === 'host');
    });
    expect(told.text).toStartWith('lines are not written to files: E');
    expect(await (await desk.house.ask('hello')).text()).toBe('yes');
  }
});

test('the name of a directory is its tenant’s alone, and stays below', () => {
  const names = [
    'a',
    'a/b',
    'a%2Fb',
    '.a',
    '..',
    'A',
    'ü',
    'a.1',
    'x'.repeat(512),
    'x'.repeat(511),
  ];
  const directories = names.map(nameOf);
  expect(new Set(directories).size).toBe(names.length);
  for (const name of directories) {
    expect(name).toMatch(/^[^./][^/]*$/);
    expect(Buffer.byteLength(name)).toBeLessThan(255);
  }
});
