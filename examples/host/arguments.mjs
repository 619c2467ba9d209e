// The arguments of `npm run demo`. Read by the script, before it builds anything, and by the host.
import { readArguments } from '../../scripts/lib/arguments.mjs';

const USAGE = `usage: npm run demo [-- --once]

  --once  tries everything by itself, tells what happened, and ends`;

/** Whether the demo is to try everything by itself. */
export function isOnce() {
  return readArguments({ usage: USAGE, flags: { once: { type: 'boolean' } } }).values.once === true;
}
