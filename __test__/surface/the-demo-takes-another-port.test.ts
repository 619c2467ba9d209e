// What another program has, such as another demo, the demo does not share: it takes another port
// and another socket, and says so.
import { expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoCommand } from '../../examples/demo/arguments.mjs';

test('a second demo takes another port and another socket, and says so', async () => {
  const place = mkdtempSync(join(tmpdir(), 'demo-'));
  const control = join(place, 'control.sock');
  const [tcp, unix] = [createServer(), createServer()];
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
  await new Promise<void>((resolve) => unix.listen(control, resolve));
  const { port } = tcp.address() as AddressInfo;
  const said: string[] = [];

  const second = await demoCommand((text) => said.push(text), { port, dashboard: port, control });
  expect(second.join(' ')).toMatch(/--port 0 --dashboard 127\.0\.0\.1:0 --control \/\S+$/);
  expect(second).not.toContain(control);
  const taken = `Port ${port} is taken by another program: using another one instead.`;
  expect(said).toEqual([taken, taken]);

  await new Promise((resolve) => tcp.close(resolve));
  await new Promise((resolve) => unix.close(resolve));
  const first = await demoCommand((text) => said.push(text), { port, dashboard: port, control });
  expect(first.join(' ')).toEndWith(`--port ${port} --dashboard 127.0.0.1:${port}`);
  expect(said).toHaveLength(2);
  rmSync(place, { recursive: true });
});
