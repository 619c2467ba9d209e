// A runtime inside a worker ends with the worker, while the process goes on.
import { expect, test } from 'bun:test';
import {
  addShapes,
  descendantsOf,
  engineNames,
  helpersOf,
  keyOf,
  type ShapeName,
  slowToListen,
  startHost,
  Tenants,
  threadsOf,
  until,
  untilGone,
} from '../support/processes/index.ts';

const shapes: ShapeName[] = [
  'under a shell',
  'helper in its own session',
  'helper that is a daemon',
  'deaf to SIGTERM',
];
const GONE_WITHIN_MS = 3_000;

for (const engine of engineNames) {
  for (const how of ['terminate', 'process.exit', 'uncaught error', 'natural end']) {
    test(`${engine}: ${how}`, async () => {
      await using tenants = new Tenants()
        .add('main')
        .add('slow', { 'server.ts': slowToListen(60_000) });
      addShapes(tenants, shapes);
      const slow = how === 'natural end' ? '' : 'slow';
      const args = [tenants.root, shapes.map(keyOf).join(), slow, 'main', how];
      await using host = startHost(engine, 'worker.mjs', args);
      await host.said('up');
      const all = await until('all shapes are up', () => {
        const below = descendantsOf(host.pid);
        return below.filter(({ name }) => name === 'sleep').length === helpersOf(shapes) && below;
      });
      host.say('end');
      await host.said('worker ended');
      await untilGone('a moment after the worker', all, GONE_WITHIN_MS);
      await until('the host has no child', () => descendantsOf(host.pid).length === 0);
      await until('the thread is gone', () => !threadsOf(host.pid).includes('abs-runtime'));
      expect(host.hasEnded).toBe(false);

      // The main thread can still use the package.
      host.say('go on');
      await host.said('main');
      expect(await host.end()).toEqual({ code: 0, signal: null });
      await until('nothing is left', () => tenants.processes().length === 0);
    });
  }
}
