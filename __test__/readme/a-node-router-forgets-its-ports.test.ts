// Tenants have new ports all day. The global `fetch` of Node 20 keeps 23 KB for each that it was
// ever used with.
import { test } from 'bun:test';
import { openPage } from '../support/readme/pages.ts';

const PROGRAM = `
<!-- run: node -->
'''ts
import { once } from 'node:events';
import { Agent, createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Tenant } from '@absolutejs/runtime';
import { forward } from './node-proxy.ts';

const PORTS = 1_000;
const ALLOWED_BYTES = 2_000;

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');
async function open(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

let tenant = 0;
const routerPort = await open(createServer((incoming, outgoing) => forward(incoming, outgoing, { port: tenant } as Tenant)));
const agent = new Agent({ keepAlive: true });

/** Starts a server, requests it once, and stops it. */
async function use(): Promise<void> {
  const server = createServer((_, response) => response.end('hello'));
  tenant = await open(server);
  const [answer] = await once(get({ agent, host: '127.0.0.1', port: routerPort }), 'response');
  const text = Buffer.concat(await answer.toArray()).toString();
  if (answer.statusCode !== 200 || text !== 'hello') throw new Error(\`\${answer.statusCode} \${text}\`);
  await new Promise((resolve) => server.close(resolve));
}

async function usedBytes(ports: number): Promise<number> {
  for (let i = 0; i < ports; i += 1) await use();
  collect();
  return process.memoryUsage().heapUsed;
}

const before = await usedBytes(PORTS);
const after = await usedBytes(PORTS);
const kept = (after - before) / PORTS;
console.log(\`\${kept} bytes kept for each port\`);
process.exit(kept < ALLOWED_BYTES ? 0 : 1);
'''
`;

test('the router on Node of docs/routing.md keeps nothing of the ports that it has used', async () => {
  using document = openPage('docs/routing.md', { more: PROGRAM.replaceAll("'''", '```') });
  await document.execute(document.blocks.at(-1)!);
}, 120_000);
