/** The host as the commands show it, beside its tenants. */
import { harmless } from './text.js';
import { several } from './words.js';

/** What is wrong with the host itself, in a line; undefined if nothing is. @param {any} host */
export function hostTrouble(host) {
  const files = host?.logs?.files;
  if (!files?.isFailing) return undefined;
  const lost = files.droppedLines > 0 ? `, ${several(files.droppedLines, 'line')} lost` : '';
  return `✘ the host cannot write its log files in ${harmless(files.directory)}${lost}: see \`events\``;
}
