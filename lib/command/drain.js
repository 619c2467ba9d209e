/** `drain`: the host ends in order, and the command waits for that. */
import { clientOf } from './client.js';
import { asJson } from './text.js';
import { several } from './words.js';

/** @type {import('./commands.js').Run} */
export async function run({ options }, io) {
  const client = clientOf(options, io.env);
  const host = await client.post('/drain');
  if (options.json) io.print(asJson(host));
  else io.print(remaining(host));
  let last = '';
  await client
    .follow('/host', {
      isOnce: true,
      onEvent: (event, now) => {
        if (event !== 'host' || options.json) return;
        const text = remaining(now);
        if (text !== last && last !== '') io.complain(text);
        last = text;
      },
    })
    // The host may have ended before it could be followed.
    .catch(() => {});
  if (!options.json) io.print('The host has ended.');
}

/** @param {any} host */
function remaining({ pid, runtime, gateway }) {
  const open = gateway === null ? '' : `, ${several(gateway.inFlight, 'open request')}`;
  return `draining (pid ${pid}): ${several(runtime.total, 'tenant')}${open}`;
}
