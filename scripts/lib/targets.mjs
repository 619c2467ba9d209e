// The machines that the addon is built for: one package each.

/**
 * @typedef {object} Target
 * @property {string} triple what the package and its directory below npm/ are named after
 * @property {string} rustTarget
 * @property {'x64' | 'arm64'} cpu as npm says it
 * @property {'glibc' | 'musl'} libc as npm says it
 */

/** @type {Target[]} */
export const targets = [
  { triple: 'linux-x64-gnu', rustTarget: 'x86_64-unknown-linux-gnu', cpu: 'x64', libc: 'glibc' },
  { triple: 'linux-x64-musl', rustTarget: 'x86_64-unknown-linux-musl', cpu: 'x64', libc: 'musl' },
  {
    triple: 'linux-arm64-gnu',
    rustTarget: 'aarch64-unknown-linux-gnu',
    cpu: 'arm64',
    libc: 'glibc',
  },
  {
    triple: 'linux-arm64-musl',
    rustTarget: 'aarch64-unknown-linux-musl',
    cpu: 'arm64',
    libc: 'musl',
  },
];

/**
 * The oldest glibc that the binaries must run with: that of the first Linux for arm64, and of
 * CentOS 7.
 */
export const OLDEST_GLIBC = '2.17';

const MAIN_PACKAGE = '@absolutejs/runtime';

/** @param {Target} target */
export const packageOf = ({ triple }) => `${MAIN_PACKAGE}-${triple}`;

/** @param {{ triple: string }} target */
export const addonOf = ({ triple }) => `runtime.${triple}.node`;

export const WARDEN = 'warden';
