// Visitors of the fleet's test bed: requests at a steady rate, each to a gateway and for a key by
// chance, never tried again. It prints one line for each that has ended.
import { request } from 'node:http';
import { Rng } from '../host/rng.mjs';

const { gateways, keys, perSecond, seed } = JSON.parse(process.argv[2] ?? '{}');
const rng = new Rng(seed);
/** As tenants have it. */
const now = () => Math.round((performance.timeOrigin + performance.now()) * 1000);
let number = 0;

function visit() {
  number += 1;
  const id = number;
  const gateway = rng.pick(gateways);
  const key = rng.pick(keys);
  const sent = now();
  const isPost = rng.below(4) === 0;
  const slow = rng.below(20) === 0 ? 300 : 0;
  /** @param {object} how */
  const over = (how) =>
    process.stdout.write(`${JSON.stringify({ id, sent, ended: now(), gateway, key, ...how })}\n`);
  const asked = request(
    {
      host: gateway,
      port: 8080,
      path: `/visit?id=${id}${slow ? `&slow=${slow}` : ''}`,
      method: isPost ? 'POST' : 'GET',
      headers: { host: `${key}.fleet.test` },
      agent: false,
      timeout: 30_000,
    },
    (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (piece) => (text += piece));
      answer.on('error', (error) => over({ failed: error.message }));
      answer.on('end', () => {
        if (answer.statusCode !== 200) {
          const retryAfter = answer.headers['retry-after'];
          return over({ status: answer.statusCode, retryAfter, why: text.slice(0, 300) });
        }
        try {
          const said = JSON.parse(text);
          const isWhole = said.key === key && (!isPost || said.body === 2_000);
          over({ status: 200, epoch: Number(said.epoch), pid: said.pid, isWhole });
        } catch (error) {
          over({ status: 200, isWhole: false, failed: String(error) });
        }
      });
    },
  );
  asked.on('error', (error) => over({ failed: /** @type {any} */ (error).code ?? error.message }));
  asked.on('timeout', () => asked.destroy(new Error('no answer within 30 s')));
  asked.end(isPost ? 'x'.repeat(2_000) : undefined);
}

const timer = setInterval(visit, 1000 / perSecond);
process.stdin.on('end', () => clearInterval(timer)).resume();
