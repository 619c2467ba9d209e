/** `events`: what happened to tenants and to the host. */
import { clientOf, queryOf } from './client.js';
import { lastWords } from './tenants.js';
import { BOLD, DIM, GREEN, RED, YELLOW } from './terminal.js';
import { asJson, harmless } from './text.js';
import { timeInWords } from './words.js';

/** @type {Record<string, number>} */
const COLOURS = {
  ready: GREEN,
  backoff: RED,
  'start-failed': RED,
  'replace-failed': RED,
  'lru-evict': YELLOW,
  drain: YELLOW,
};

/** @type {import('./commands.js').Run} */
export async function run({ words, options }, io) {
  const client = clientOf(options, io.env);
  const target = `/events${queryOf({ key: words, n: options.lines, since: options.since })}`;
  const show = (/** @type {any} */ event) =>
    io.print(
      options.json
        ? asJson(event)
        : [eventInWords(event, io), ...lastWords(event.lines ?? [], io)].join('\n'),
    );
  if (!options.follow) {
    const { events } = await client.get(target);
    for (const event of events) show(event);
    return;
  }
  await client.follow(target, {
    onEvent: (type, event) => {
      if (type === 'event') show(event);
    },
    onLost: () => io.complain('The host is gone; waiting for it to come back.'),
    onBack: () => io.complain('The host is back.'),
  });
}

/** @param {any} event @param {import('./terminal.js').Io} io */
export function eventInWords({ at, type, key, text, reason }, io) {
  const isBad = type === 'exit' && (reason === 'crashed' || reason === 'readiness-timeout');
  const colour = isBad ? RED : COLOURS[type];
  const name = key === null || key === undefined ? '' : `${io.paint(BOLD, harmless(key))} `;
  return `${io.paint(DIM, timeInWords(at))} ${name}${io.paint(colour, harmless(text))}`;
}
