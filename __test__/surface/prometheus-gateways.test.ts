import { expect, test } from 'bun:test';
import { createRuntimeCollector, type ObservedGateway } from '@absolutejs/runtime/prometheus';
import { Registry } from 'prom-client';
import { scrape } from '../support/surface/exposition.ts';
import { gatewayWith } from '../support/surface/observed-gateway.ts';

const invalid = (message: RegExp) =>
  expect.objectContaining({
    code: 'ERR_RUNTIME_INVALID_OPTION',
    message: expect.stringMatching(message),
  });

test('figures of a gateway have their series', () => {
  const collector = createRuntimeCollector({ labels: { region: 'eu' } });
  collector.attachGateway(gatewayWith(), { door: 'front' });
  const shown = scrape(collector);
  const labels = { region: 'eu', door: 'front' };
  expect(shown.value('gateway_connections', labels)).toBe(3);
  expect(shown.value('gateway_requests_in_flight', labels)).toBe(2);
  expect(shown.value('gateway_requests_waiting', labels)).toBe(1);
  expect(shown.value('gateway_requests_total', { ...labels, status: '2xx' })).toBe(20);
  expect(shown.value('gateway_requests_total', { ...labels, status: '5xx' })).toBe(0);
  expect(shown.value('gateway_request_body_bytes_total', labels)).toBe(100);
  expect(shown.value('gateway_response_body_bytes_total', labels)).toBe(200);
  const { body } = collector.expose();
  const buckets = [...body.matchAll(/wake_duration_seconds_bucket\{.*?le="(.*?)"\} (\d+)/g)];
  expect(buckets.map(([, le, count]) => [le, count])).toEqual([
    ['0.01', '4'],
    ['1.0', '5'],
    ['+Inf', '5'],
  ]);
  expect(body).toContain('gateway_wake_duration_seconds_sum{region="eu",door="front"} 0.5\n');
});

test('they are in the registries of prom-client, too', async () => {
  const register = new Registry();
  const collector = createRuntimeCollector({ registers: [register] });
  collector.attachGateway(gatewayWith());
  const text = await register.metrics();
  expect(text).toContain('absolute_runtime_gateway_requests_total{status="2xx"} 20\n');
  expect(text).toContain('absolute_runtime_gateway_wake_duration_seconds_bucket{le="+Inf"} 5\n');
});

test('gateways are told apart by their labels, and detached', () => {
  const collector = createRuntimeCollector();
  const gateway = gatewayWith();
  collector.attachGateway(gateway);
  expect(() => collector.attachGateway(gatewayWith())).toThrow(
    invalid(/^labels \{\} are those of a gateway that is attached already/),
  );
  expect(() => collector.attachGateway(gatewayWith(), { status: 'x' })).toThrow(
    invalid(/^labels.status is given out by the collector itself/),
  );
  expect(() => collector.attachGateway({} as ObservedGateway)).toThrow(
    invalid(/^gateway must be what createGateway returned, got an object/),
  );
  collector.detach(gateway);
  expect(collector.expose().body).toBe('');
  collector.attachGateway(gatewayWith());
});
