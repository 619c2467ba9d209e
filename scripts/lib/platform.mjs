// The name of this machine's platform, as in the names of the addon's and Bun's packages.

/** @returns {boolean} true on a Linux whose C library is musl */
function isMusl() {
  if (process.platform !== 'linux') return false;
  // Without this the report looks up host names, which can take seconds.
  if (process.report) Object.assign(process.report, { excludeNetwork: true });
  const report = /** @type {any} */ (process.report?.getReport());
  return !report?.header?.glibcVersionRuntime;
}

/**
 * The name of the addon's platform package and of the directory below npm/: `linux-x64-gnu`, say.
 *
 * @returns {string}
 */
export function platformTriple() {
  const base = `${process.platform}-${process.arch}`;
  if (process.platform === 'linux') return `${base}-${isMusl() ? 'musl' : 'gnu'}`;
  if (process.platform === 'win32') return `${base}-msvc`;
  return base;
}

/**
 * The optional package that carries Bun's binary for this machine: `@oven/bun-linux-x64`, say.
 *
 * @returns {string}
 */
export function bunBinaryPackage() {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const cpu = process.arch === 'arm64' ? 'aarch64' : process.arch;
  return `@oven/bun-${system}-${cpu}${isMusl() ? '-musl' : ''}`;
}
