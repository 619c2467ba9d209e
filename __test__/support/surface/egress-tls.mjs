// A server with a certificate for `secure.test` and 127.0.0.1, and requests to it, in a process of
// their own: the authority that signed it is known to a process from its start
// (NODE_EXTRA_CA_CERTS). Prints what came out as JSON.
import { createEgressGuard } from '@absolutejs/runtime';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const file = (/** @type {string} */ name) => readFileSync(new URL(`tls/${name}`, import.meta.url));
const options = { key: file('server-key.pem'), cert: file('server.pem') };
const server = createServer(options, (request, response) => {
  const { servername } = /** @type {import('node:tls').TLSSocket} */ (request.socket);
  let length = 0;
  request.on('data', (chunk) => (length += chunk.length));
  request.on('end', () => {
    response.end(
      JSON.stringify({ host: request.headers.host, servername: servername || null, length }),
    );
  });
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
const guard = createEgressGuard({ allow: ['127.0.0.0/8'], lookup: () => ['127.0.0.1'] });

/** @param {string} host @param {RequestInit} [init] */
async function outcome(host, init) {
  try {
    const response = await guard.fetch('acme', `https://${host}:${port}/`, init);
    const answer = JSON.parse(await response.text());
    return { ...answer, host: answer.host.replace(`:${port}`, '') };
  } catch (error) {
    const { name, code, cause } = /** @type {any} */ (error);
    return { name, code, cause: cause?.code };
  }
}

const results = {
  byName: await outcome('secure.test'),
  byAddress: await outcome('127.0.0.1'),
  withBody: await outcome('secure.test', {
    method: 'POST',
    body: new Blob(['x'.repeat(1_000_000)]).stream(),
  }),
  byOtherName: await outcome('other.test'),
  byOtherAddress: await outcome('[::ffff:127.0.0.1]'),
};
console.log(JSON.stringify(results));
server.closeAllConnections();
server.close();
