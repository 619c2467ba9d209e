// Where something has the demo's port, another demo included, it says so and takes another one: none of them gets requests
// that were meant for the other.
import { expect, spyOn, test } from 'bun:test';
import { startDemo } from '../../examples/host/demo.ts';

test('the second demo at a port', async () => {
  const said = spyOn(console, 'log').mockImplementation(() => {});
  const first = await startDemo({ idleAfterMs: 1_000 }, 0);
  const second = await startDemo({ idleAfterMs: 1_000 }, first.port);
  const { port } = second;
  await Promise.all([first.stop(), second.stop()]);
  const lines = said.mock.calls.flat();
  said.mockRestore();
  expect(port).not.toBe(first.port);
  expect(lines).toEqual([`Port ${first.port} is taken by another program: using port ${port} instead.`]);
});
