// `npm run pack:all -- DIR`: builds the published packages and puts their tarballs into DIR: the
// main package, and one for each platform that this machine can build for.
// `--target linux-x64-gnu` (repeatable) selects platforms.
import { mkdirSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { unknown } from '../lib/doctor/arguments.js';
import { readArguments, wrongUse } from './lib/arguments.mjs';
import { buildableTargets, buildForShipping } from './lib/dist-build.mjs';
import { runScript, ScriptError } from './lib/run.mjs';
import { packMain, packPlatform } from './lib/tarballs.mjs';
import { targets } from './lib/targets.mjs';
import { checkVersions } from './lib/versions.mjs';

const triples = targets.map(({ triple }) => triple);
const USAGE = `usage: npm run pack:all -- DIR [--target <${triples.join('|')}>]…`;

const asked = readArguments({
  usage: USAGE,
  flags: { target: { type: 'string', multiple: true } },
  maxWords: 1,
});
const [asDirectory] = asked.words;
if (asDirectory === undefined) wrongUse('DIR is missing', USAGE);
const unknownTarget = asked.values.target?.find((triple) => !triples.includes(triple));
if (unknownTarget !== undefined) wrongUse(unknown('target', unknownTarget, triples), USAGE);
// npm runs scripts in the package's directory, wherever it was called.
const directory = resolve(process.env.INIT_CWD ?? '.', asDirectory);

await runScript(async () => {
  const wanted = wantedTargets(asked.values.target);
  checkVersions();
  // All packages are built before any is written: DIR never holds half of a release.
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

/** @param {string[] | undefined} wanted known triples; undefined: all that can be built here */
function wantedTargets(wanted) {
  const buildable = buildableTargets();
  if (!wanted) {
    for (const { triple, rustTarget } of targets.filter((target) => !buildable.includes(target))) {
      console.log(`› not for ${triple}: that needs rustup target add ${rustTarget}`);
    }
    return buildable;
  }
  return targets
    .filter(({ triple }) => wanted.includes(triple))
    .map((target) => {
      if (buildable.includes(target)) return target;
      throw new ScriptError(
        `to build for ${target.triple}, run rustup target add ${target.rustTarget} before`,
      );
    });
}

/** @param {string} what @param {number} bytes */
function report(what, bytes) {
  console.log(`  ${what.padEnd(52)} ${String(Math.round(bytes / 1024)).padStart(6)} KiB`);
}
