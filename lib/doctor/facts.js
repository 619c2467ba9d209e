/**
 * The facts that the addon reads of this machine, this process and its limits (`src/host.rs`).
 * `Infinity` means no limit. Facts that cannot be read, or do not exist, are left out.
 */
import { native } from '../bridge/native.js';

/**
 * @typedef {object} Facts
 * @property {Machine} machine
 * @property {Process} process
 * @property {{ totalBytes: number, availableBytes: number }} [memory]
 * @property {string[]} swaps files and devices
 * @property {{ cpu?: Stall, memory?: Stall, io?: Stall }} pressure
 * @property {Groups} groups
 * @property {Proc} proc
 * @property {{ path: string, fileSystem: string, isNoexec: boolean }} [temporary] the directory
 * for temporary files
 * @property {Init} init
 * @property {Confinement} confinement
 */

/**
 * @typedef {object} Machine
 * @property {string} [kernelRelease]
 * @property {number} [pidMax]
 * @property {number} [threadsMax]
 * @property {number} [tasks] the processes and threads that exist
 * @property {number} [openFiles]
 * @property {number} [openFilesMax]
 * @property {number} [backlogMax] how many connections may wait at one socket
 * @property {{ first: number, last: number, reserved: number }} ports the range of ports that the
 * kernel assigns, and how many of them are reserved
 */

/**
 * @typedef {object} Process
 * @property {Bounds} openFiles
 * @property {Bounds} processes of its user, threads included
 * @property {boolean} hasNoNewPrivileges
 * @property {boolean} hasSeccompFilter
 * @property {number} oomScoreAdj
 */

/** @typedef {{ soft: number, hard: number }} Bounds */

/**
 * The share of the last ten seconds, minute and five minutes in which some or all tasks waited, in
 * per cent.
 * @typedef {{ some: number[], full?: number[] }} Stall
 */

/**
 * The control groups of this process, and the narrowest of the limits in them and in those above.
 * @typedef {object} Groups
 * @property {boolean} hasV1
 * @property {boolean} hasV2
 * @property {Membership[]} memberships one for each hierarchy
 * @property {{ limitBytes: number, freeBytes: number, path: string }} [memory]
 * @property {{ limit: number, used: number, path: string }} [tasks] processes and threads together
 * @property {{ cores: number, path: string }} [cpu]
 * @property {string} [killedAsOne] the group that the kernel kills as a whole when memory is short
 * @property {string} [withoutSwap] a group that may not use swap
 */

/**
 * @typedef {object} Membership
 * @property {number} version
 * @property {string[]} controllers
 * @property {string[]} paths the directories of its own group and of those above it
 * @property {boolean} isWritable
 */

/**
 * @typedef {object} Proc
 * @property {boolean} isMounted
 * @property {string} [hidden] the options that hide processes: `hidepid=2`
 * @property {boolean} listsChildren
 */

/**
 * The first process (PID 1).
 * @typedef {object} Init
 * @property {string} [name]
 * @property {string[]} groups the paths of its control groups
 * @property {number[]} unreaped the pids of its children that have ended and were not reaped
 */

/**
 * What this host could keep of `limits` and `isolation`.
 * @typedef {object} Confinement
 * @property {Promised[]} limits each limit
 * @property {number} [landlock] the version of Landlock
 * @property {boolean} refusesSystemCalls
 * @property {Promised[]} missing the promises of `isolation` that are not kept
 * @property {Promised} users that a tenant can have a user of its own
 */

/**
 * A promise; with `why` it cannot be kept, and `change` says what to do.
 * @typedef {{ name: string, by?: string, why?: string, change?: string }} Promised
 */

/** @returns {Facts | undefined} as of now; undefined without an addon */
export function readFacts() {
  try {
    return native().readHost();
  } catch {
    return undefined;
  }
}
