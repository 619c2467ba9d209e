// Reads what an ELF file requires of a machine: the processor, libraries, and versions of their
// symbols. Only for 64-bit little-endian files with section headers, as today's Linux builds are.

const MACHINES = new Map([
  [62, 'x64'],
  [183, 'arm64'],
]);
const SECTION = { symbolTable: 11, dynamic: 6, versionsNeeded: 0x6fff_fffe };
const DYNAMIC = { needed: 1, rpath: 15, runpath: 29 };

/**
 * @typedef {object} Elf
 * @property {string} machine `x64`, `arm64`, or `machine <number>`
 * @property {string[]} needed the libraries that it is linked against, by file name
 * @property {string[]} searchPaths where it looks for them besides the usual places
 * @property {string[]} versions the symbol versions that it asks for: `GLIBC_2.17`
 * @property {string[]} imports the symbols that it must find in others; weak ones are not among
 * them
 * @property {string[]} exports the symbols that others find in it
 * @property {string[]} sections by name
 */

/**
 * @typedef {{ name: number; type: number; offset: number; size: number; link: number; count:
 * number }} Section
 */

/**
 * @param {Buffer} file
 * @returns {Elf}
 * @throws {Error} for any other file
 */
export function readElf(file) {
  if (file.readUInt32BE(0) !== 0x7f45_4c46 || file[4] !== 2 || file[5] !== 1) {
    throw new Error('not a 64-bit little-endian ELF file');
  }
  const sections = sectionsOf(file);
  const names = sections[file.readUInt16LE(62)];
  const ofType = (/** @type {number} */ type) =>
    sections.filter((section) => section.type === type);
  /** @param {Section | undefined} table @param {number} offset */
  const text = (table, offset) => {
    const start = (table?.offset ?? 0) + offset;
    return file.toString('latin1', start, file.indexOf(0, start));
  };

  const entries = ofType(SECTION.dynamic).flatMap((section) =>
    dynamicEntries(file, section, sections, text),
  );
  const valuesOf = (/** @type {number[]} */ ...tags) =>
    entries.filter(({ tag }) => tags.includes(tag)).map(({ value }) => value());
  const symbols = ofType(SECTION.symbolTable).flatMap((section) =>
    symbolsOf(file, section, (offset) => text(sections[section.link], offset)),
  );
  const machine = file.readUInt16LE(18);
  return {
    machine: MACHINES.get(machine) ?? `machine ${machine}`,
    needed: valuesOf(DYNAMIC.needed),
    searchPaths: valuesOf(DYNAMIC.rpath, DYNAMIC.runpath),
    versions: ofType(SECTION.versionsNeeded).flatMap((section) =>
      versionsOf(file, section, (offset) => text(sections[section.link], offset)),
    ),
    imports: symbols
      .filter((symbol) => !symbol.isDefined && !symbol.isWeak)
      .map(({ name }) => name),
    exports: symbols.filter((symbol) => symbol.isDefined).map(({ name }) => name),
    sections: sections.map((section) => text(names, section.name)),
  };
}

/** @param {Buffer} file @returns {Section[]} */
function sectionsOf(file) {
  const start = Number(file.readBigUInt64LE(40));
  const [size, count] = [file.readUInt16LE(58), file.readUInt16LE(60)];
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * size;
    return {
      name: file.readUInt32LE(at),
      type: file.readUInt32LE(at + 4),
      offset: Number(file.readBigUInt64LE(at + 24)),
      size: Number(file.readBigUInt64LE(at + 32)),
      link: file.readUInt32LE(at + 40),
      count: file.readUInt32LE(at + 44),
    };
  });
}

/**
 * @param {Buffer} file
 * @param {Section} section
 * @param {Section[]} sections
 * @param {(table: Section | undefined, offset: number) => string} text
 */
function dynamicEntries(file, section, sections, text) {
  return Array.from({ length: section.size / 16 }, (_, index) => {
    const at = section.offset + index * 16;
    return {
      tag: Number(file.readBigInt64LE(at)),
      value: () => text(sections[section.link], Number(file.readBigUInt64LE(at + 8))),
    };
  });
}

/** @param {Buffer} file @param {Section} section @param {(offset: number) => string} text */
function symbolsOf(file, section, text) {
  const isWeak = (/** @type {number} */ info) => info >> 4 === 2;
  return Array.from({ length: section.size / 24 }, (_, index) => section.offset + index * 24)
    .slice(1)
    .map((at) => ({
      name: text(file.readUInt32LE(at)),
      isWeak: isWeak(file.readUInt8(at + 4)),
      isDefined: file.readUInt16LE(at + 6) !== 0,
    }));
}

/**
 * Reads the needed symbol versions: a chain of libraries, with a chain of versions for each.
 *
 * @param {Buffer} file
 * @param {Section} section
 * @param {(offset: number) => string} text
 */
function versionsOf(file, { offset, count }, text) {
  const versions = [];
  let library = offset;
  for (let left = count; left > 0; left -= 1) {
    let version = library + file.readUInt32LE(library + 8);
    for (let more = file.readUInt16LE(library + 2); more > 0; more -= 1) {
      versions.push(text(file.readUInt32LE(version + 8)));
      version += file.readUInt32LE(version + 12);
    }
    library += file.readUInt32LE(library + 12);
  }
  return [...new Set(versions)].sort();
}
