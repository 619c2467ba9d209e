// The licences of the Rust crates that are linked into the binaries. They must be distributed
// together.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './paths.mjs';
import { ScriptError } from './run.mjs';

/**
 * @typedef {{ id: string; name: string; version: string; license: string | null; manifest_path:
 * string; targets: { kind: string[] }[] }} Crate
 */

const LICENCE_FILE = /^(?:licen[cs]e|copying|unlicen[cs]e|notice)/i;

/** @param {import('./targets.mjs').Target} target @returns {string} */
export function thirdPartyNotices({ rustTarget }) {
  const crates = linkedCrates(rustTarget);
  /** Names by text, since many crates share one. @type {Map<string, string[]>} */
  const byText = new Map();
  for (const crate of crates) {
    for (const text of licenceTexts(crate)) {
      byText.set(text, [...(byText.get(text) ?? []), `${crate.name} ${crate.version}`]);
    }
  }
  const list = crates.map(
    ({ name, version, license }) => `  ${name} ${version}: ${license ?? 'see its text'}`,
  );
  const texts = [...byText].map(
    ([text, names]) => `${'-'.repeat(80)}\n${names.join(', ')}\n\n${text}`,
  );
  const head =
    'The binaries of this package contain the Rust standard library (MIT OR Apache-2.0) and these crates:';
  return `${head}\n\n${list.join('\n')}\n\n${texts.join('\n\n')}\n`;
}

/** @param {string} rustTarget @returns {Crate[]} without our own */
function linkedCrates(rustTarget) {
  const args = ['metadata', '--format-version', '1', '--locked', '--filter-platform', rustTarget];
  const { status, stdout, stderr } = spawnSync('cargo', args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new ScriptError(`cargo metadata failed: ${stderr}`);
  const { packages, resolve, workspace_members: own } = JSON.parse(stdout);
  const crates = new Map(packages.map((/** @type {Crate} */ crate) => [crate.id, crate]));
  const nodes = new Map(resolve.nodes.map((/** @type {{ id: string }} */ node) => [node.id, node]));
  const linked = new Set();
  const visit = (/** @type {string} */ id) => {
    if (linked.has(id) || isMacro(crates.get(id))) return;
    linked.add(id);
    for (const { pkg, dep_kinds: kinds } of nodes.get(id).deps) {
      if (kinds.some((/** @type {{ kind: string | null }} */ { kind }) => kind === null))
        visit(pkg);
    }
  };
  own.forEach(visit);
  return [...linked]
    .filter((id) => !own.includes(id))
    .map((id) => crates.get(id))
    .sort((one, other) => one.name.localeCompare(other.name));
}

/** Whether a crate is a macro: it runs in the compiler, and is not linked. @param {Crate} crate */
const isMacro = ({ targets }) => targets.some(({ kind }) => kind.includes('proc-macro'));

/** @param {Crate} crate @returns {string[]} */
function licenceTexts({ manifest_path: manifest }) {
  const directory = dirname(manifest);
  const names = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile() && LICENCE_FILE.test(entry.name))
    .map(({ name }) => name);
  return names.sort().map((name) => readFileSync(join(directory, name), 'utf8').trim());
}
