// Who is visited when, in a day that is as long as it is made. It follows from the seed.
import { Rng } from '../host/rng.mjs';

/** Of twenty apps one is hot, and visited so often a minute; the others a few times in all. */
const HOT_OF = 20;
const HOT_A_MINUTE = 20;
const FEW = 6;

/** Much in the afternoon, little at night: from 0.1 to 1. @param {number} share of the day */
const liveliness = (share) => 0.55 - 0.45 * Math.cos(2 * Math.PI * (share - 0.125));

/**
 * All visits, in their order.
 *
 * @param {readonly string[]} keys
 * @param {number} minutes
 * @param {string} seed
 */
export function visitsOf(keys, minutes, seed) {
  const rng = new Rng(seed);
  const moment = () => {
    for (;;) {
      const share = rng.fraction();
      if (rng.fraction() < liveliness(share)) return share * minutes * 60_000;
    }
  };
  const visits = keys.flatMap((key) => {
    const isHot = rng.below(HOT_OF) === 0;
    const count = isHot ? Math.ceil(HOT_A_MINUTE * minutes) : 1 + rng.below(FEW);
    return Array.from({ length: count }, () => ({ key, atMs: moment() }));
  });
  return visits.sort((one, other) => one.atMs - other.atMs);
}
