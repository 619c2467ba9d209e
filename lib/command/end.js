/** `end`: ends what a host has left, whose tenants outlive it, and waits until all is gone. */
import { isName, nameRule } from '../survive/option.js';
import { endLeft, lookAtAll } from '../survive/names.js';
import { nearest } from '../checks.js';
import { Failure, UsageError } from './mistakes.js';
import { asJson, harmless } from './text.js';
import { several } from './words.js';

/** @type {import('./commands.js').Run} */
export async function run({ words: [name = ''], options }, io) {
  if (!isName(name)) throw new UsageError(`NAME must be ${nameRule(name)}, got ${harmless(name)}`);
  const { outcome, pid, runs = 0, reason } = await endLeft(name, io.env);
  switch (outcome) {
    case 'ended':
      if (options.json) io.print(asJson({ name, ended: runs }));
      else io.print(`${several(runs, 'tenant')} of ${name} ended.`);
      return;
    case 'inUse':
      throw new Failure(
        `Process ${pid} has the tenants of ${name}, and serves them: end that host, by SIGTERM or by ` +
          'absolutejs-runtime drain.',
        'ERR_RUNTIME_IN_USE',
      );
    case 'nobody':
      throw new Failure(await nothingLeft(name, io.env), 'NOT_FOUND');
    case 'failed':
      throw new Failure(`What was left of ${name} cannot be ended: ${reason}`);
  }
}

/** @param {string} name @param {NodeJS.ProcessEnv} env */
async function nothingLeft(name, env) {
  const known = (await lookAtAll(env)).map((owned) => owned.name);
  const near = nearest(name, known);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  return `Nothing is left of ${name}${hint}`;
}
