/** `logs`: what tenants print. */
import { clientOf, queryOf, tenantPath } from './client.js';
import { Failure } from './mistakes.js';
import { unknownKey } from './ps.js';
import { BLUE, CYAN, GREEN, MAGENTA, RED, YELLOW } from './terminal.js';
import { asJson, harmless } from './text.js';
import { several } from './words.js';

const COLOURS = [CYAN, GREEN, MAGENTA, BLUE, YELLOW];

/** @type {import('./commands.js').Run} */
export async function run({ words, options }, io) {
  const client = clientOf(options, io.env);
  const target = targetOf(words, options);
  const show = (/** @type {any} */ line) =>
    io.print(options.json ? asJson(line) : asText(line, io));
  try {
    if (!options.follow) {
      const { lines, dropped } = await client.get(target);
      for (const line of lines) show(line);
      if (dropped > 0) io.complain(`${several(dropped, 'older line')} gone: see serve --log-dir.`);
      return;
    }
    await client.follow(target, {
      onEvent: (event, data) => {
        if (event === 'line') show(data);
        if (event === 'dropped') io.complain(`… ${several(data.lines, 'line')} dropped …`);
      },
      onLost: () => io.complain('The host is gone; waiting for it to come back.'),
      onBack: () => io.complain('The host is back.'),
    });
  } catch (error) {
    const [key] = words;
    if (!(error instanceof Failure) || error.code !== 'NOT_FOUND' || key === undefined) throw error;
    const { tenants } = await client.get('/tenants');
    const known = tenants.map((/** @type {any} */ tenant) => tenant.key);
    throw unknownKey(words.find((word) => !known.includes(word)) ?? key, known);
  }
}

/** @param {string[]} keys @param {Record<string, any>} options */
function targetOf(keys, { since, grep, stream, lines }) {
  const [key] = keys;
  if (keys.length === 1 && key !== undefined) {
    return tenantPath(key, 'logs') + queryOf({ n: lines, since, grep, stream });
  }
  return `/logs${queryOf({ key: keys, n: lines, since, grep, stream })}`;
}

/** @param {any} line @param {import('./terminal.js').Io} io */
function asText({ key, stream, line }, io) {
  const name = io.paint(COLOURS[hash(key) % COLOURS.length], `[${harmless(key)}]`);
  return `${name} ${stream === 'stderr' ? io.paint(RED, harmless(line)) : harmless(line)}`;
}

/** The same colour for a key in every command. @param {string} key */
function hash(key) {
  let sum = 0;
  for (const character of key) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 65_521;
  return sum;
}
