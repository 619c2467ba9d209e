/** What this kernel knows of walls, as which tests of what it does not know are skipped. */
import { callNumber } from './attacker/calls.ts';

const LANDLOCK_CREATE_RULESET = 444;
const ASKS_FOR_VERSION = 1;

/** The version of Landlock; 0 without it. */
export const landlock = (() => {
  try {
    return callNumber(LANDLOCK_CREATE_RULESET, [0, 0, ASKS_FOR_VERSION]);
  } catch {
    return 0;
  }
})();

/** The first version with each promise that the very first did not have. */
export const SINCE = { truncate: 3, ports: 4, signals: 6, abstractSockets: 6, pathSockets: 9 };

/** Whether this kernel keeps all that is promised. */
export const keepsAll = landlock >= SINCE.signals;

/** Walls of all that is promised, or of what this kernel has. */
export const WALLS: { enforce: 'required' | 'best-effort' } = {
  enforce: keepsAll ? 'required' : 'best-effort',
};
