// To work on the page: serves it with a made-up host.
//   node __test__/support/dashboard/page.mjs [--tenants 1000] [--port 3900] [--calm]
import { parseArgs } from 'node:util';
import { createDashboard } from '../../../lib/dashboard/server.js';
import { apiOf } from './made-up-api.mjs';
import { madeUpHost } from './made-up-host.mjs';
import { hungry } from './made-up-tenants.mjs';

const { values } = parseArgs({
  options: {
    tenants: { type: 'string', default: '1000' },
    port: { type: 'string', default: '3900' },
    token: { type: 'string' },
    busy: { type: 'string', default: '0.3' },
    calm: { type: 'boolean', default: false },
  },
});

const host = madeUpHost({ tenants: Number(values.tenants), busy: Number(values.busy) });
const [first = '', second = '', third = '', fourth = ''] = host.tenants.keys();
if (!values.calm) {
  host.crash(first);
  host.starve(fourth);
  host.put(second, hungry(host.tenants.get(second)));
  host.put(third, { ...host.tenants.get(third), state: 'starting', rank: 4, pid: 999 });
  host.happen(first, 'spawn', 'was started', { pid: 4711, port: 40_000 });
  host.happen(first, 'exit', 'crashed with exit code 1', {
    pid: 4711,
    exitCode: 1,
    reason: 'crashed',
  });
  host.happen(first, 'backoff', 'is not tried again for 8 s', { attempt: 4, retryAfterMs: 8000 });
  host.happen(second, 'spawn', 'was started', { pid: 4003, port: 40_001 });
  host.happen(second, 'ready', 'is ready after 84 ms', { pid: 4003, port: 40_001, durationMs: 84 });
  host.happen(fourth, 'exit', 'ran out of its 512 MiB of memory', {
    exitCode: null,
    limit: 'memory',
  });
  host.happen(null, 'limited', 'the host was short of memory for 4 s');
}
const PATHS = ['/', '/cart', '/api/items?page=2', '/login', '/static/app.js'];
let request = 0;
for (let index = 0; index < 200; index += 1) talk();
function talk() {
  request += 1;
  const path = PATHS[request % PATHS.length];
  host.say(second, `\u001b[32mGET\u001b[0m ${path} \u001b[1m200\u001b[0m ${(request * 7) % 90} ms`);
  if (request % 17 === 0) {
    host.say(second, `\u001b[31merror\u001b[0m: the mailer took ${request} ms`, 'stderr');
  }
}

const dashboard = createDashboard(
  { port: Number(values.port), ...(values.token && { token: values.token }) },
  apiOf(host),
);
console.log((await dashboard.listening).link);
setInterval(host.tick, 1000);
setInterval(talk, 700);
