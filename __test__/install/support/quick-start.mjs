// The quick start of README.md, word for word.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const FILE = /<!-- file: (\S+) -->\n```\w+\n([^]*?)```/g;
const OUTPUT = /<!-- output -->\n```\n([^]*?)```/;

/**
 * Writes the files of the quick start.
 *
 * @param {string} directory
 * @returns {RegExp} what the host is said to print
 */
export function writeQuickStart(directory) {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const [, section = ''] = /^## Quick start\n([^]*?)^## /m.exec(readme) ?? [];
  for (const [, name = '', content = ''] of section.matchAll(FILE)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
  const [, output = ''] = OUTPUT.exec(section) ?? [];
  const pattern = output.replaceAll(/[[\]$().*+?^{}|\\]/g, '\\$&').replaceAll('…', '.*');
  return new RegExp(`^${pattern}$`);
}
