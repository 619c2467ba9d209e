import { findEtcd } from '../../scripts/lib/etcd.mjs';

/** Where etcd cannot be had, its tests are skipped, saying so. */
export const program = findProgram();

function findProgram(): string | undefined {
  try {
    const found = findEtcd();
    if (found === undefined) console.log('no etcd: what needs one is skipped');
    return found;
  } catch (error) {
    console.log(`no etcd (${error}): what needs one is skipped`);
    return undefined;
  }
}
