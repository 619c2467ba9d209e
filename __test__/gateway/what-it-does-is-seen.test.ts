import { expect, test } from 'bun:test';
import type { GatewayAccessEvent } from '@absolutejs/runtime/gateway';
import { createRuntimeCollector } from '@absolutejs/runtime/prometheus';
import { open } from '../support/gateway/house.ts';
import { until, within } from '../support/processes/until.ts';
import { Spans } from '../support/surface/spans.ts';

test('each request is told once, with all that is known of it', async () => {
  const events: GatewayAccessEvent[] = [];
  const onAccess = (event: GatewayAccessEvent) => {
    events.push(event);
    throw new Error('of the user');
  };
  await using house = await open({ gateway: { onAccess } });
  const before = Date.now();
  await house.mirrored('hello', '/a/b?secret=1', { method: 'POST', body: 'four' });
  await house.mirrored('hello', '/ü');
  await (await house.ask('nobody', '/c')).text();
  await until('three events', () => events.length === 3);
  const [woken, ready, refused] = events;
  expect(woken).toEqual({
    key: 'hello',
    host: 'hello.localhost',
    method: 'POST',
    path: '/a/b',
    status: 200,
    durationMs: expect.any(Number),
    wokeMs: expect.any(Number),
    bytesIn: 4,
    bytesOut: expect.any(Number),
    address: '127.0.0.1',
    at: expect.any(Number),
  });
  expect(woken!.at).toBeGreaterThanOrEqual(before - 1);
  expect(woken!.durationMs).toBeGreaterThanOrEqual(woken!.wokeMs!);
  expect(woken!.bytesOut).toBeGreaterThan(100);
  expect(ready).not.toHaveProperty('wokeMs');
  expect(ready?.path).toBe('/%C3%BC');
  expect(refused).toMatchObject({ key: null, host: 'nobody.localhost', path: '/c', status: 404 });
});

test('what was requested last is told before close resolves', async () => {
  const events: GatewayAccessEvent[] = [];
  await using house = await open({ gateway: { onAccess: (event) => void events.push(event) } });
  await house.mirrored('hello');
  await until('the first event', () => events.length === 1);
  const answers = Array.from({ length: 20 }, () => house.mirrored('hello'));
  await Promise.all(answers);
  await within('close', house.gateway.close({ graceMs: 0 }));
  expect(events.length).toBe(21);
});

test('figures are those of all requests, and of one key', async () => {
  await using house = await open();
  const { gateway } = house;
  await house.mirrored('hello', '/', { method: 'POST', body: 'four' });
  await (await house.ask('nobody')).text();
  await until('no request is open', () => gateway.stats().inFlight === 0);
  const stats = gateway.stats();
  expect(stats).toMatchObject({
    inFlight: 0,
    waiting: 0,
    requests: { '1xx': 0, '2xx': 1, '3xx': 0, '4xx': 1, '5xx': 0 },
    wakes: 1,
    bytesIn: 4,
  });
  expect(stats.connections).toBeGreaterThanOrEqual(1);
  expect(stats.wakeHistogram.reduce((sum, { count }) => sum + count, 0)).toBe(1);
  expect(stats.byKey('hello')).toEqual({
    inFlight: 0,
    waiting: 0,
    requests: { '1xx': 0, '2xx': 1, '3xx': 0, '4xx': 0, '5xx': 0 },
  });
  expect(stats.byKey('nobody').requests['4xx']).toBe(0);
  await within('close', gateway.close());
  expect(gateway.stats()).toMatchObject({ connections: 0, requests: { '2xx': 1, '4xx': 1 } });
});

test('how soon answers begin is counted by key, however long they take to end', async () => {
  await using house = await open({
    tenants: {
      slow: `Bun.serve({ hostname: '127.0.0.1', port: process.env.PORT, 
        fetch: () => new Response(new ReadableStream({ type: 'direct', async pull(out) {
          out.write('begin'); await out.flush(); await new Promise(() => {}); } })) });`,
    },
  });
  const timesOf = (key: string) =>
    house.gateway
      .stats()
      .byKey(key)
      .answerHistogram!.reduce((sum, { count }) => sum + count, 0);
  expect(timesOf('slow')).toBe(0);
  const response = await house.ask('slow');
  const { value } = await response.body!.getReader().read();
  expect(new TextDecoder().decode(value)).toBe('begin');
  const stats = house.gateway.stats().byKey('slow');
  expect(stats.inFlight).toBe(1);
  const histogram = stats.answerHistogram!;
  expect(timesOf('slow')).toBe(1);
  expect(histogram.map(({ upToMs }) => upToMs).slice(0, 3)).toEqual([0.128, 0.192, 0.256]);
  expect(histogram.at(-1)!.upToMs).toBe(Infinity);
  expect(Object.keys(stats)).toEqual(['inFlight', 'waiting', 'requests']);
});

test('a collector shows them', async () => {
  await using house = await open();
  const collector = createRuntimeCollector();
  expect(collector.attachGateway(house.gateway)).toBe(house.gateway);
  await house.mirrored('hello');
  await until('no request is open', () => house.gateway.stats().inFlight === 0);
  const { body } = collector.expose();
  expect(body).toContain('\nabsolute_runtime_gateway_requests_total{status="2xx"} 1\n');
  expect(body).toContain('\nabsolute_runtime_gateway_wake_duration_seconds_count 1\n');
  collector.detach(house.gateway);
  expect(collector.expose().body).toBe('');
});

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

test('a trace context is passed on as it is', async () => {
  await using house = await open();
  const { headers } = await house.mirrored('hello', '/', { headers: { traceparent: TRACE } });
  expect(headers.traceparent).toBe(TRACE);
  expect((await house.mirrored('hello')).headers).not.toHaveProperty('traceparent');
});

test('a request that wakes its tenant has a span, which the tenant is told of', async () => {
  const spans = new Spans();
  await using house = await open({ runtime: { tracerProvider: spans.tracerProvider } });
  const woken = await house.mirrored('hello', '/a?b', { method: 'POST', body: 'c' });
  const span = spans.all.find(({ name }) => name === 'gateway.wake')!;
  expect(woken.headers.traceparent).toBe(span.traceparent);
  await until('its end', () => span.ends === 1);
  expect(span.attributes).toEqual({
    'abs.runtime.key': 'hello',
    'abs.runtime.woke_ms': expect.any(Number),
    'client.address': '127.0.0.1',
    'http.request.method': 'POST',
    'http.response.status_code': 200,
    'server.address': 'hello.localhost',
    'url.path': '/a',
  });
  const begun = (await house.mirrored('hello')).headers.traceparent;
  expect(begun).toMatch(/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01$/);
  const passed = await house.mirrored('hello', '/', { headers: { traceparent: TRACE } });
  expect(passed.headers.traceparent).toBe(TRACE);
  expect(spans.all.filter(({ name }) => name === 'gateway.wake').length).toBe(1);
});
