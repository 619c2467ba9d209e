/** `start`, `stop`, `restart`, `replace` and `clear`: each prints what the tenant then is. */
import { clientOf, tenantPath } from './client.js';
import { EXIT_DONE, EXIT_FAILED, Failure, mistakeInJson } from './mistakes.js';
import { listing, unknownKey } from './ps.js';
import { asJson, harmless } from './text.js';

/** @type {import('./commands.js').Run} */
export async function run({ command, words, options }, io) {
  const client = clientOf(options, io.env);
  const answers = await Promise.all(
    [...new Set(words)].map((key) => act(client, key, command).catch((error) => ({ key, error }))),
  );
  const failures = answers.filter(({ error }) => error !== undefined);
  const tenants = answers.filter(({ error }) => error === undefined);
  if (options.json) for (const tenant of tenants) io.print(asJson(tenant));
  else if (tenants.length > 0) io.print(listing(tenants, true, io).join('\n'));
  if (failures.length === 1 && answers.length === 1) throw failures[0].error;
  for (const { key, error } of failures) {
    if (options.json) io.complain(asJson(mistakeInJson(error, key)));
    else io.complain(`${harmless(key)}: ${error.message.split('\n').map(harmless).join('\n')}`);
  }
  return failures.length > 0 ? EXIT_FAILED : EXIT_DONE;
}

/**
 * @param {import('./client.js').Client} client
 * @param {string} key
 * @param {string} what
 * @returns {Promise<any>}
 */
async function act(client, key, what) {
  try {
    return await client.post(tenantPath(key, what));
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'NOT_FOUND') throw error;
    const { tenants } = await client.get('/tenants');
    throw unknownKey(
      key,
      tenants.map((/** @type {any} */ tenant) => tenant.key),
    );
  }
}
