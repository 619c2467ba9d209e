// If another process, such as another demo, has the demo's port, the demo says so and takes
// another one: it never shares a port.
import { expect, spyOn, test } from 'bun:test';
import { startDemo } from '../../examples/host/demo.ts';

test('a second demo takes another port, and says so', async () => {
  const said = spyOn(console, 'log').mockImplementation(() => {});
  const first = await startDemo({ idleAfterMs: 1_000 }, 0);
  const second = await startDemo({ idleAfterMs: 1_000 }, first.port);
  const { port } = second;
  await Promise.all([first.stop(), second.stop()]);
  const lines = said.mock.calls.flat();
  said.mockRestore();
  expect(port).not.toBe(first.port);
  expect(lines).toEqual([
    `Port ${first.port} is taken by another program: using port ${port} instead.`,
  ]);
});
