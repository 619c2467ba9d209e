// The processors that a machine in the machine may have: what each is called, and by whom.

/**
 * @typedef {object} Architecture
 * @property {'x64' | 'arm64'} name as Node says it
 * @property {string} debian as Debian says it
 * @property {string} libraries the directory of its libraries below /lib and /usr/lib
 * @property {string} emulator the program of QEMU
 * @property {string} emulatorPackage Debian's package that has it
 * @property {string[]} machine what the emulator is told
 * @property {string} console the kernel's name of the first serial port
 * @property {string} triple the package of the addon
 */

/** @satisfies {Record<string, Architecture>} */
export const architectures = {
  x64: {
    name: 'x64',
    debian: 'amd64',
    libraries: 'x86_64-linux-gnu',
    emulator: 'qemu-system-x86_64',
    emulatorPackage: 'qemu-system-x86',
    machine: ['-cpu', 'max'],
    console: 'ttyS0',
    triple: 'linux-x64-gnu',
  },
  arm64: {
    name: 'arm64',
    debian: 'arm64',
    libraries: 'aarch64-linux-gnu',
    emulator: 'qemu-system-aarch64',
    emulatorPackage: 'qemu-system-arm',
    // Signed pointers in the architecture's own algorithm cost an emulator half of its speed.
    machine: ['-machine', 'virt', '-cpu', 'max,pauth-impdef=on'],
    console: 'ttyAMA0',
    triple: 'linux-arm64-gnu',
  },
};
