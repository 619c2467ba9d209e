// The client of the gateway's soak: `node client.mjs PORT REQUESTS SEED`. Each request has to be
// answered with 200, by the tenant that it was for, whole. Prints how far it is, and the end.
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { ASKED } from './tenants.mjs';
import { Rng } from '../host/rng.mjs';

const [port, requests, seed = '1'] = process.argv.slice(2);
const LANES = 32;
const TOLD_EVERY = 100;
const MOST_TOLD = 20;
const BODY = 'x'.repeat(20_000);
const agent = new Agent({ keepAlive: true, maxSockets: LANES });
const rng = new Rng(seed);
const pids = new Set();
const slowest = { ms: 0, key: '' };
let [sent, done, lost] = [0, 0, 0];

await Promise.all(Array.from({ length: LANES }, lane));
console.log(JSON.stringify({ done, lost, processes: pids.size, slowest }));
agent.destroy();

async function lane() {
  while (sent < Number(requests)) {
    sent += 1;
    // Half of the tenants are asked much less often, so that they become idle.
    const key = rng.pick(rng.below(50) === 0 ? ASKED : ASKED.filter((_, index) => index % 2 === 0));
    const startedAt = performance.now();
    const problem = await ask(key, String(sent)).catch((error) => `${error.code} ${error.message}`);
    const ms = performance.now() - startedAt;
    if (ms > slowest.ms) Object.assign(slowest, { ms, key });
    if (problem) {
      lost += 1;
      if (lost <= MOST_TOLD) console.log(JSON.stringify({ lost: key, problem, ms }));
    }
    done += 1;
    if (done % TOLD_EVERY === 0) console.log(JSON.stringify({ done }));
  }
}

/**
 * Resolves to what was wrong with the answer.
 *
 * @param {string} key
 * @param {string} id
 * @returns {Promise<string | undefined>}
 */
async function ask(key, id) {
  const method = rng.pick(['GET', 'GET', 'POST']);
  const query = [`id=${id}`, `ms=${rng.pick([0, 0, 0, 5, 40])}`, rng.below(4) ? '' : 'stream'];
  const headers = { host: `${key}.localhost` };
  const outgoing = request({ agent, port, path: `/?${query.join('&')}`, method, headers });
  outgoing.end(method === 'POST' ? BODY : undefined);
  const [first] = await once(outgoing, 'response');
  const answer = /** @type {import('node:http').IncomingMessage} */ (first);
  let text = '';
  for await (const chunk of answer) text += chunk;
  if (answer.statusCode !== 200) return `${method} ${answer.statusCode}: ${text.slice(0, 100)}`;
  const said = JSON.parse(text);
  pids.add(said.pid);
  const bytes = method === 'POST' ? BODY.length : 0;
  const isRight = said.key === key && said.id === id && said.bytes === bytes;
  return isRight ? undefined : `${method} ${id}: ${text}`;
}
