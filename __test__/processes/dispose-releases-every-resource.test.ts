// A disposed runtime has released every descriptor, thread and child of the host process.
import { expect, test } from 'bun:test';
import {
  addShapes,
  engineNames,
  keyOf,
  type ShapeName,
  slowToListen,
  startHost,
  Tenants,
  until,
} from '../support/processes/index.ts';

const shapes: ShapeName[] = ['plain', 'under a shell', 'helper in its own session'];
const ROUNDS = 6;

for (const engine of engineNames) {
  test(`${engine}: after ${ROUNDS} rounds of every kind of start and end`, async () => {
    await using tenants = new Tenants().add('slow', { 'server.ts': slowToListen(60_000) });
    tenants.add('crashes', { 'server.ts': 'process.exit(1)' });
    addShapes(tenants, shapes);
    const args = [tenants.root, shapes.map(keyOf).join(), String(ROUNDS)];
    await using host = startHost(engine, 'cycles.mjs', args);
    const after = await host.saidJson('after', 60_000);
    expect(after).toMatchObject({ descriptors: 0, ours: [], children: '' });
    // Engines start threads of their own at any time; a leak would be at least one in each round.
    expect((after as { threads: number }).threads).toBeLessThan(ROUNDS);
    expect(await host.end()).toEqual({ code: 0, signal: null });
    await until('nothing is left', () => tenants.processes().length === 0);
  }, 90_000);
}
