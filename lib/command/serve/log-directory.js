/** The directory of `--log-dir`: what is wrong with it for good is told before anything starts. */
import { mkdtemp, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDirectory } from '../../control/log-files.js';
import { Failure } from '../mistakes.js';
import { harmless } from '../text.js';

/** A disk that is full has room again later; until then the host tells that lines are not kept. */
const PASSING = ['ENOSPC', 'EDQUOT'];

/**
 * Makes the directory, and tries whether something can be made in it: rights alone do not say so.
 *
 * @param {import('../settings.js').Settings} settings
 */
export async function readyLogDirectory({ values: { 'log-dir': directory }, origins }) {
  try {
    await makeDirectory(directory);
    await rmdir(await mkdtemp(join(directory, '.try-')));
  } catch (error) {
    const { code = '', message } = /** @type {NodeJS.ErrnoException} */ (error);
    if (PASSING.includes(code)) return;
    throw new Failure(
      `${origins['log-dir']}: no files can be written in ${harmless(directory)}: ${message}`,
      code,
    );
  }
}
