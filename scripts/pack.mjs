// `npm run pack:all -- DIR`: builds what is published and puts its tarballs into DIR: the main package, and a package
// for every machine that this one can build for. `--target linux-x64-gnu` (repeatable) builds for those only.
import { mkdirSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildableTargets, buildForShipping } from './lib/dist-build.mjs';
import { runScript, ScriptError } from './lib/run.mjs';
import { packMain, packPlatform } from './lib/tarballs.mjs';
import { targets } from './lib/targets.mjs';
import { checkVersions } from './lib/versions.mjs';

const USAGE = `usage: npm run pack:all -- DIR [--target <${targets.map(({ triple }) => triple).join('|')}>]…`;

await runScript(async () => {
  const { directory, wanted } = readArguments();
  checkVersions();
  // Everything is built before anything is written: DIR never holds half of a release.
  const built = [];
  for (const target of wanted) built.push({ target, binaries: await buildForShipping(target) });
  mkdirSync(directory, { recursive: true });
  const tarballs = [await packMain(directory)];
  for (const { target, binaries } of built) {
    report(`${target.triple}: the addon`, statSync(binaries.addon).size);
    report(`${target.triple}: the warden`, statSync(binaries.warden).size);
    tarballs.push(await packPlatform(target, binaries, directory));
  }
  for (const { path, bytes } of tarballs) report(basename(path), bytes);
});

function readArguments() {
  const { values, positionals } = parsed();
  const [directory] = positionals;
  if (!directory || positionals.length > 1) throw new ScriptError(USAGE);
  // npm runs scripts in the package's directory, wherever it was called.
  return { directory: resolve(process.env.INIT_CWD ?? '.', directory), wanted: wantedTargets(values.target) };
}

function parsed() {
  try {
    return parseArgs({ options: { target: { type: 'string', multiple: true } }, allowPositionals: true });
  } catch (error) {
    throw new ScriptError(`${error instanceof Error ? error.message : error}\n  ${USAGE}`);
  }
}

/** @param {string[] | undefined} triples */
function wantedTargets(triples) {
  const buildable = buildableTargets();
  if (!triples) {
    for (const { triple, rustTarget } of targets.filter((target) => !buildable.includes(target))) {
      console.log(`› not for ${triple}: that needs rustup target add ${rustTarget}`);
    }
    return buildable;
  }
  return triples.map((triple) => {
    const target = targets.find((target) => target.triple === triple);
    if (!target) throw new ScriptError(`there is no target ${triple}\n  ${USAGE}`);
    if (buildable.includes(target)) return target;
    throw new ScriptError(`to build for ${triple}, run rustup target add ${target.rustTarget} before`);
  });
}

/** @param {string} what @param {number} bytes */
function report(what, bytes) {
  console.log(`  ${what.padEnd(52)} ${String(Math.round(bytes / 1024)).padStart(6)} KiB`);
}
