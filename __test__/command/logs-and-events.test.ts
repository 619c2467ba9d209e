import { expect, test } from 'bun:test';
import { failed, fakeHost, running } from '../support/command/fake-host.mjs';
import { directory, ENGINES, run, start } from '../support/command/run.ts';
import { until } from '../support/processes/until.ts';

const at = Date.parse('2026-11-29T12:00:00');
const line = (seq: number, key: string, text: string, stream = 'stdout') => ({
  ...{ seq, at, key, pid: 7, stream, line: text },
});
const lines = [line(1, 'acme', 'one \x1b[31mred\x1b[0m'), line(2, 'shop', 'two\x1b[2J', 'stderr')];
const tenants = [failed('acme'), running('shop')];

for (const engine of ENGINES) {
  test(`${engine}: lines with their key, harmless; as JSON they keep their escapes`, async () => {
    using place = directory();
    const host = await fakeHost(place.socket, { tenants, lines, dropped: 3 });
    const control = ['--control', place.socket];
    const text = await run(['logs', ...control], { engine });
    expect(text.stdout).toBe('[acme] one red\n[shop] two␛[2J\n');
    expect(text.stderr).toContain('3 older lines gone');
    const json = await run(['logs', '--json', ...control], { engine });
    expect(
      json.stdout
        .trim()
        .split('\n')
        .map((row) => JSON.parse(row)),
    ).toEqual(lines);
    await host.close();
  });

  test(`${engine}: it follows, says when the host is gone, and goes on where it was`, async () => {
    using place = directory();
    let host = await fakeHost(place.socket, { tenants, lines });
    const logs = start(['logs', '-f', '--control', place.socket], { engine });
    await logs.says(/two/);
    host.push('line', line(3, 'acme', 'three'), 3);
    await logs.says(/\[acme\] three\n/);
    await host.close();
    await logs.says(/The host is gone/, 'stderr');
    host = await fakeHost(place.socket, { tenants, lines: [line(4, 'acme', 'four')] });
    await logs.says(/\[acme\] four\n/);
    expect(logs.stderr).toContain('The host is back.');
    expect(host.asked.at(-1)?.lastEventId).toBe('3');
    const { code } = await logs.end('SIGINT');
    expect(code).toBe(130);
    await host.close();
  });
}

test('what is asked for reaches the host', async () => {
  using place = directory();
  const host = await fakeHost(place.socket, { tenants, lines });
  const env = { ABSOLUTE_RUNTIME_CONTROL: place.socket };
  const since = String(Date.parse('2026-11-29T08:00'));
  await run(['logs', 'acme', '-n', '5', '--since', '2026-11-29T08:00', '--stream', 'stderr'], {
    env,
  });
  expect(host.asked.at(-1)?.url).toBe(`/tenants/acme/logs?n=5&since=${since}&stream=stderr`);
  await run(['logs', 'acme', 'shop', '--grep', 'a b|c'], { env });
  expect(host.asked.at(-1)?.url).toBe('/logs?key=acme&key=shop&n=100&grep=a%20b%7Cc');
  await run(['events', 'acme', '-n', '1'], { env });
  expect(host.asked.at(-1)?.url).toBe('/events?key=acme&n=1');
  const { code, stderr } = await run(['logs', 'shpo'], { env });
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: 'There is no tenant shpo; did you mean shop?\n',
  });
  await host.close();
});

test('events in words, and as JSON lines', async () => {
  using place = directory();
  const events = [
    { seq: 1, at, type: 'exit', key: 'acme', text: 'crashed with exit code 1', reason: 'crashed' },
    { seq: 2, at, type: 'host', key: null, text: 'the disk is full' },
  ];
  const host = await fakeHost(place.socket, { tenants, events });
  const control = ['--control', place.socket];
  const { stdout } = await run(['events', ...control]);
  expect(stdout).toMatch(/12:00:00 acme crashed with exit code 1\n.*12:00:00 the disk is full\n$/);
  const follower = start(['events', '-f', '--json', ...control]);
  await follower.says(/disk.*\n/);
  host.push('event', { seq: 3, at, type: 'drain', key: null, text: 'drains' }, 3);
  await follower.says(/drains.*\n/);
  const seqs = follower.stdout
    .trim()
    .split('\n')
    .map((row) => JSON.parse(row).seq);
  expect(seqs).toEqual([1, 2, 3]);
  expect((await follower.end('SIGINT')).code).toBe(130);
  await host.close();
});

test('an event that a process explains has its last lines below it', async () => {
  using place = directory();
  const lines = ['1', '2', '3', '4', 'cannot find the database', 'gone\x1b[2J'];
  const event = {
    seq: 1,
    at,
    type: 'replace-failed',
    key: 'acme',
    text: 'was not replaced',
    lines,
  };
  const host = await fakeHost(place.socket, { tenants, events: [event] });
  const { stdout } = await run(['events', '--control', place.socket]);
  expect(stdout).toMatch(
    / acme was not replaced\n {4}2\n {4}3\n {4}4\n {4}cannot find .*\n {4}gone␛/,
  );
  await host.close();
});

test('each action prints what the tenant then is; a refusal says why', async () => {
  using place = directory();
  const acted: string[] = [];
  const host = await fakeHost(place.socket, {
    tenants,
    post: (key, what) => {
      acted.push(`${what} ${key}`);
      const message = 'Tenant "acme" is backing off';
      if (what === 'start') return { error: { code: 'ERR_RUNTIME_BACKOFF', message, key } };
      return running(key);
    },
  });
  const env = { ABSOLUTE_RUNTIME_CONTROL: place.socket };
  for (const what of ['stop', 'restart', 'replace', 'clear']) {
    const { code, stdout } = await run([what, 'acme'], { env });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^KEY .*\nacme +running/);
  }
  const both = await run(['restart', 'acme', 'shop', '--json'], { env });
  expect(
    both.stdout
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row).key),
  ).toEqual(['acme', 'shop']);
  const refused = await run(['start', 'acme'], { env });
  expect({ code: refused.code, stderr: refused.stderr }).toEqual({
    code: 1,
    stderr: 'Tenant "acme" is backing off\n',
  });
  const json = await run(['start', 'acme', '--json'], { env });
  expect(JSON.parse(json.stderr).error).toMatchObject({ code: 'ERR_RUNTIME_BACKOFF', key: 'acme' });
  const all = await run(['start', 'acme', 'amce', '--json'], { env });
  expect(
    all.stderr
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row).error)
      .map(({ code, key }) => `${key}: ${code}`),
  ).toEqual(['acme: ERR_RUNTIME_BACKOFF', 'amce: NOT_FOUND']);
  const unknown = await run(['stop', 'amce'], { env });
  expect(unknown.stderr).toBe('There is no tenant amce; did you mean acme?\n');
  expect(acted).toContain('clear acme');
  await until('nothing follows', () => host.followers.size === 0);
  await host.close();
});
