import { chromium, type Browser } from 'playwright-core';
import { findChromium } from '../../../scripts/lib/chromium.mjs';

/** `args` are more arguments of its program; `without`, those of playwright's to leave out. */
export function launch({ args = [] as string[], without = [] as string[] } = {}): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error('apt install chromium, or set CHROMIUM');
  // Chromium's own sandbox refuses root.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({
    executablePath,
    args: [...sandbox, ...args],
    ignoreDefaultArgs: without,
  });
}
