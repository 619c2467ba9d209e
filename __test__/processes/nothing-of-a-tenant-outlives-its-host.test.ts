// However the host ends, soon no process of its tenants is left, nor the warden and its keepers.
import { expect, test } from 'bun:test';
import {
  addShapes,
  descendantsOf,
  engineNames,
  helpersOf,
  keyOf,
  type ShapeName,
  shapeNames,
  slowToListen,
  startHost,
  Tenants,
  until,
  untilGone,
  wardenOf,
} from '../support/processes/index.ts';
import { untilFree } from '../support/processes/sockets.ts';
import { readFileSync } from 'node:fs';

/** It takes about ten milliseconds on an idle machine. */
const GONE_WITHIN_MS = 3_000;

/** All shapes but the plain one, which the others include. */
const shapes: ShapeName[] = shapeNames.filter((name) => name !== 'plain');

const endings: Record<string, { signal?: NodeJS.Signals; code?: number }> = {
  SIGKILL: { signal: 'SIGKILL' },
  SIGTERM: { signal: 'SIGTERM' },
  SIGINT: { signal: 'SIGINT' },
  SIGSEGV: { signal: 'SIGSEGV' },
  'process.exit': { code: 3 },
  'uncaught error': { code: 1 },
  'unhandled rejection': { code: 1 },
  'natural end': { code: 0 },
};

for (const engine of engineNames) {
  for (const [how, expected] of Object.entries(endings)) {
    test(`${engine}: ${how}`, async () => {
      await using tenants = new Tenants();
      addShapes(tenants, shapes);
      // A pending start would keep a host alive that is to end naturally.
      const slow = how === 'natural end' ? '' : 'slow';
      tenants.add('slow', { 'server.ts': slowToListen(60_000) });
      await using host = startHost(engine, 'ends.mjs', [
        tenants.root,
        shapes.map(keyOf).join(),
        slow,
      ]);
      await host.said('up');
      if (slow) await host.said('booting');
      const all = await until('all shapes are up', () => {
        const warden = wardenOf(host.pid);
        const below = warden ? [warden, ...descendantsOf(warden.pid)] : [];
        return below.filter(({ name }) => name === 'sleep').length === helpersOf(shapes) && below;
      });
      const ports = all.flatMap(({ pid }) => portOf(pid));
      expect(new Set(ports).size).toBe(shapes.length + (slow ? 1 : 0));

      if (expected.signal) host.kill(expected.signal);
      else host.say(how);
      await until('the host ends', () => host.hasEnded);
      await untilGone('a moment after the host', all, GONE_WITHIN_MS);
      await until('nothing is marked', () => tenants.processes().length === 0, GONE_WITHIN_MS);
      for (const port of new Set(ports)) await untilFree(port);
      const { code, signal } = await host.end();
      // Some engines turn a signal into an exit of their own.
      if (expected.signal) expect(signal ?? code).not.toBe(0);
      else expect({ code, signal }).toEqual({ code: expected.code ?? null, signal: null });
    });
  }
}

function portOf(pid: number): number[] {
  try {
    const port = readFileSync(`/proc/${pid}/environ`, 'latin1').match(/(?:^|\0)PORT=(\d+)/)?.[1];
    return port === undefined ? [] : [Number(port)];
  } catch {
    return [];
  }
}
