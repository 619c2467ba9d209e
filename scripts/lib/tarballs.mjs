// Makes the packages that are published, as tarballs.
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bundle } from './bundle.mjs';
import { thirdPartyNotices } from './notices.mjs';
import { root } from './paths.mjs';
import { run, ScriptError } from './run.mjs';
import { addonOf, packageOf, targets, WARDEN } from './targets.mjs';
import { packageVersion } from './versions.mjs';

/** @typedef {import('./targets.mjs').Target} Target */
/** @typedef {import('./cargo.mjs').Binaries} Binaries */
/** @typedef {{ name: string; path: string; bytes: number; files: string[] }} Tarball */

const LICENSE = 'LICENSE';
const NOTICES = 'THIRD-PARTY-NOTICES';

/**
 * The JavaScript, the types and the loader.
 *
 * @param {string} directory where the tarball goes
 * @returns {Promise<Tarball>}
 */
export async function packMain(directory) {
  const manifest = readManifest('package.json');
  await bundle();
  const stage = emptyStage('main');
  for (const name of await filesOfMain()) copyInto(stage, name, join(root, name));
  writeManifest(stage, publishedMain(manifest));
  return npmPack(stage, directory);
}

/**
 * @param {Target} target
 * @param {Binaries} binaries
 * @param {string} directory where the tarball goes
 * @returns {Promise<Tarball>}
 */
export async function packPlatform(target, binaries, directory) {
  const stage = emptyStage(target.triple);
  writeManifest(stage, withRepository(readManifest(join('npm', target.triple, 'package.json'))));
  copyInto(stage, addonOf(target), binaries.addon);
  copyInto(stage, WARDEN, binaries.warden);
  copyInto(stage, LICENSE, join(root, LICENSE));
  writeFileSync(join(stage, NOTICES), thirdPartyNotices(target));
  return npmPack(stage, directory);
}

/**
 * The published package.json: with the platform packages, which the checkout's does not name since
 * `npm ci` would look for them before they are published, and without what only a checkout needs.
 *
 * @param {Record<string, any>} manifest
 */
function publishedMain({ scripts, devDependencies, ...manifest }) {
  const version = packageVersion();
  const optionalDependencies = Object.fromEntries(
    targets.map((target) => [packageOf(target), version]),
  );
  return withRepository({ ...manifest, optionalDependencies });
}

/**
 * Adds the repository that was built from, which a provenance statement must name. GitHub gives
 * its URL in the environment.
 *
 * @param {Record<string, any>} manifest
 */
function withRepository(manifest) {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = process.env;
  if (manifest.repository || !server || !name) return manifest;
  return { ...manifest, repository: { type: 'git', url: `git+${server}/${name}.git` } };
}

/** @returns {Promise<string[]>} what npm takes for package.json's `files`, without package.json */
async function filesOfMain() {
  const [{ files }] = await npmPackJson(['--dry-run']);
  return files.map(({ path }) => path).filter((path) => path !== 'package.json');
}

/**
 * @param {string} stage
 * @param {string} directory
 * @returns {Promise<Tarball>}
 */
async function npmPack(stage, directory) {
  const [{ name, filename, files }] = await npmPackJson([stage, '--pack-destination', directory]);
  const path = join(directory, filename);
  return { name, path, bytes: statSync(path).size, files: files.map((file) => file.path) };
}

/**
 * @typedef {{ name: string; filename: string; files: { path: string; mode: number }[] }} Packed
 */

/**
 * @param {string[]} args
 * @returns {Promise<[Packed]>}
 */
async function npmPackJson(args) {
  const { exitCode, stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', ...args], {
    collectStdout: true,
    env: { npm_config_loglevel: 'error' },
  });
  if (exitCode !== 0)
    throw new ScriptError(`npm pack ${args.join(' ')} failed (exit code ${exitCode})`);
  return JSON.parse(stdout);
}

/** @param {string} name */
function emptyStage(name) {
  const stage = join(root, 'target', 'pack', name);
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage, { recursive: true });
  return stage;
}

/** Copies the mode, too. @param {string} stage @param {string} name @param {string} from */
function copyInto(stage, name, from) {
  const to = join(stage, name);
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}

/** @param {string} name @returns {Record<string, any>} */
function readManifest(name) {
  return JSON.parse(readFileSync(join(root, name), 'utf8'));
}

/** @param {string} stage @param {Record<string, any>} manifest */
function writeManifest(stage, manifest) {
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}
