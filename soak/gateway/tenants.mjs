// The tenants behind the gateway of the soak: servers of Bun's and Node's that say to whom they
// answer, and ones that only crash.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const EACH = 6;
const CRASHERS = 2;

const keys = (/** @type {string} */ kind, /** @type {number} */ count) =>
  Array.from({ length: count }, (_, index) => `${kind}-${index}`);

/** Those that the client asks. */
export const ASKED = [...keys('bun', EACH), ...keys('node', EACH)];
/** Those that nothing asks: they crash. */
export const CRASHING = keys('crash', CRASHERS);

const BUN = `
const key = process.env.TENANT_KEY;
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  async fetch(request) {
    const url = new URL(request.url);
    const body = await request.text();
    await Bun.sleep(Number(url.searchParams.get('ms')));
    const answer = JSON.stringify({ key, id: url.searchParams.get('id'), bytes: body.length, pid: process.pid });
    if (!url.searchParams.has('stream')) return new Response(answer);
    const parts = answer.match(/.{1,20}/g);
    return new Response(new ReadableStream({
      async pull(controller) {
        const part = parts.shift();
        if (part === undefined) return controller.close();
        controller.enqueue(part);
        await Bun.sleep(1);
      },
    }));
  },
});`;

const NODE = `
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
const key = process.env.TENANT_KEY;
createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  let bytes = 0;
  for await (const chunk of request) bytes += chunk.length;
  await delay(Number(url.searchParams.get('ms')));
  const answer = JSON.stringify({ key, id: url.searchParams.get('id'), bytes, pid: process.pid });
  if (!url.searchParams.has('stream')) return response.end(answer);
  for (const part of answer.match(/.{1,20}/g)) {
    response.write(part);
    await delay(1);
  }
  response.end();
}).listen(Number(process.env.PORT), '127.0.0.1');`;

/** @param {string} root */
export function makeTenants(root) {
  for (const key of [...ASKED, ...CRASHING]) {
    mkdirSync(join(root, key));
    const isNode = key.startsWith('node-');
    writeFileSync(join(root, key, 'server.mjs'), isNode ? NODE : BUN);
    const start = isNode ? 'exec node server.mjs' : 'exec bun server.mjs';
    writeFileSync(join(root, key, 'package.json'), JSON.stringify({ scripts: { start } }));
  }
}
