import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'bun:test';
import { openStream, type Stream } from '../../lib/control/stream.js';
import { until, within } from '../support/processes/until.ts';

test('a client that does not read is slow after a bound, and no longer once it has read', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'abs-stream-'));
  const socketPath = join(directory, 's');
  let stream: Stream | undefined;
  let ended = false;
  const server = createServer((_, response) => {
    stream = openStream(response);
    stream.onEnd(() => (ended = true));
  });
  try {
    server.listen(socketPath);
    await once(server, 'listening');
    const asked = request({ socketPath, path: '/', agent: false }).end();
    const [response] = await within('the head', once(asked, 'response'));
    response.pause();
    const open = await until('the stream', () => stream);
    let sent = 0;
    const fill = 'x'.repeat(64 << 10);
    await until('that it is slow', () => {
      open.send('fill', fill);
      sent += 1;
      return open.isSlow;
    });
    // What the kernel takes, and the bound.
    expect(sent * fill.length).toBeLessThan(16 << 20);
    let read = 0;
    response.on('data', (part: Buffer) => (read += part.length));
    response.resume();
    await until('that it is slow no more', () => !open.isSlow);
    await until('all that was sent', () => read > sent * fill.length);
    asked.destroy();
    await until('its end', () => ended);
    let late = false;
    open.onEnd(() => (late = true));
    expect(late).toBe(true);
  } finally {
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true, force: true });
  }
});
