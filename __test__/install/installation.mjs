// The packages as they are published, installed with every package manager and run with every
// engine.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { addonOf, packageOf, targets, WARDEN } from '../../scripts/lib/targets.mjs';
import { PROXY_VARIABLES, ProxyTrap } from '../support/readme/proxy-trap.mjs';
import { checkoutBun, engines, requireEngines, toolsBin, tsc } from './support/engines.mjs';
import { tarballs } from './support/packages.mjs';
import { followFirstMinute } from './support/first-minute.mjs';
import { createProject, managers, placeOf, run } from './support/projects.mjs';
import { writeOwnHost } from './support/own-host.mjs';
import { manifestIn, serveTarballs } from './support/registry.mjs';

/** @typedef {import('./support/engines.mjs').Engine} Engine */

requireEngines();
const directory = mkdtempSync(join(tmpdir(), 'runtime-install-'));
const [main = '', ...platforms] = await tarballs(directory);
const { version } = manifestIn(main);
const registry = await serveTarballs([main, ...platforms]);
after(() => {
  registry.close();
  rmSync(directory, { recursive: true, force: true });
});

const projectOf = (/** @type {string} */ manager) => join(directory, manager);
/** Programs start two at a time: as many as the smallest machine has cores. */
const concurrency = 2;
const SHORT_RUNS = 50;
const EXPORTS = [
  ...['EgressDeniedError', 'RuntimeExitedBeforeReadyError', 'createEgressGuard', 'createRuntime'],
  ...['execCheckpointDriver', 'isRuntimeError', 'readProcessTreeStats'],
];

/**
 * @param {{ program: string }} engine
 * @param {string} program of the project, or an absolute path
 * @param {string} expected all that it prints
 * @param {string} project
 */
async function prints(engine, program, expected, project) {
  const ended = await run(engine.program, [resolve(project, program)], { cwd: placeOf(project) });
  assert.deepEqual(ended, { code: 0, output: `${expected}\n` });
}

describe('the packages', () => {
  test('the main one has no binaries and no scripts, and names those of the platforms', () => {
    const { scripts, optionalDependencies, dependencies } = manifestIn(main);
    assert.deepEqual(
      { scripts, dependencies: Object.keys(dependencies) },
      { scripts: undefined, dependencies: ['ipaddr.js'] },
    );
    assert.deepEqual(
      optionalDependencies,
      Object.fromEntries(targets.map((t) => [packageOf(t), version])),
    );
    assert.deepEqual(
      filesIn(main).filter(({ name }) => /\.node$|^package\/npm|warden$|\.test\./.test(name)),
      [],
    );
  });

  // Every module resolution finds the types, and package.json describes the files correctly.
  for (const judge of ['attw', 'publint']) {
    test(`the main one is clean for ${judge}`, async () => {
      const program = join(toolsBin, judge);
      const { code, output } = await run(process.execPath, [realpathSync(program), main], {
        cwd: directory,
      });
      assert.equal(code, 0, output);
    });
  }

  for (const tarball of platforms) {
    const { name, scripts, os, cpu, libc, ...manifest } = manifestIn(tarball);
    test(`${name} has the addon and the warden, for its machine only, and no scripts`, () => {
      const target = targets.find((target) => packageOf(target) === name);
      assert.ok(target);
      assert.deepEqual(
        { os, cpu, libc },
        { os: ['linux'], cpu: [target.cpu], libc: [target.libc] },
      );
      assert.deepEqual(
        [scripts, manifest.version, manifest.dependencies],
        [undefined, version, undefined],
      );
      const modes = new Map(filesIn(tarball).map(({ name, mode }) => [name, mode]));
      assert.deepEqual([...modes.keys()].sort(), [
        'package/LICENSE',
        'package/THIRD-PARTY-NOTICES',
        'package/package.json',
        `package/${addonOf(target)}`,
        `package/${WARDEN}`,
      ]);
      assert.equal(modes.get(`package/${WARDEN}`), '-rwxr-xr-x');
    });
  }
});

for (const [manager, install] of Object.entries(managers)) {
  const cwd = projectOf(manager);

  describe(`installed with ${manager}`, { concurrency }, () => {
    before(async () => {
      createProject(cwd, registry.url);
      const { code, output } = await install(cwd, version);
      assert.equal(code, 0, output);
    });

    for (const resolution of ['nodenext', 'bundler']) {
      test(`TypeScript finds the types (moduleResolution ${resolution})`, async () => {
        const checked = await run(tsc, ['--project', `tsconfig.${resolution}.json`], { cwd });
        assert.deepEqual(checked, { code: 0, output: '' });
      });
    }

    for (const engine of engines) {
      test(`${engine.name}: import`, () => prints(engine, 'esm.mjs', `${EXPORTS.join()} 0`, cwd));
      test(`${engine.name}: require`, () =>
        prints(engine, 'commonjs.cjs', 'RuntimeExitedBeforeReadyError 0', cwd));
      test(`${engine.name}: a worker`, () => prints(engine, 'worker.mjs', 'left\ndisposed', cwd));
      test(`${engine.name}: a tenant`, () =>
        prints(engine, 'tenant.mjs', 'hello from a tenant', cwd));
      test(`${engine.name}: a tenant of the same engine`, () =>
        prints(engine, 'node-tenant.mjs', 'hello from a tenant', cwd));
      test(`${engine.name}: a tenant within walls`, () =>
        prints(engine, 'walls.mjs', 'hello from a tenant', cwd));
      test(`${engine.name}: guarded requests`, () =>
        prints(engine, 'egress.mjs', '2 ab 1 c 0 9 302', cwd));
      test(`${engine.name}: a bundle`, () => bundleRuns(engine, cwd));
      if (engine.kind === 'bun') {
        test(`${engine.name}: TypeScript`, () =>
          prints(engine, 'typed.ts', '1 0 RuntimeExitedBeforeReadyError 0', cwd));
        test(`${engine.name}: a web worker`, () =>
          prints(engine, 'web-worker.mjs', 'disposed', cwd));
      }
    }
  });
}

describe("a new user does what README.md's first minute says, in an empty directory", () => {
  for (const engine of engines.filter(({ kind }) => kind === 'node')) {
    test(engine.name, () =>
      followFirstMinute(
        projectOf(`first-minute-${engine.name}`.replace(' ', '-')),
        engine,
        registry.url,
      ),
    );
  }
});

// Also with a proxy in the environment, to which Bun would send requests for tenants.
describe("a new user runs README.md's host of one's own", { concurrency }, () => {
  const cwd = projectOf('reader');
  let expected = /(?!)/;
  before(async () => {
    createProject(cwd, registry.url);
    const installed = await managers.npm?.(cwd, version);
    assert.ok(installed);
    assert.equal(installed.code, 0, installed.output);
    rmSync(join(cwd, 'tenants'), { recursive: true });
    expected = writeOwnHost(cwd);
  });

  for (const engine of engines) {
    for (const names of [[], ...PROXY_VARIABLES.map((name) => [name])]) {
      test(`${engine.name}${names.length > 0 ? ` with ${names}` : ''}`, async () => {
        const trap = await ProxyTrap.open();
        const place = placeOf(cwd);
        const env = { ...trap.environment(names), XDG_RUNTIME_DIR: place };
        const program = [join(cwd, 'host.mjs')];
        const { code, output } = await run(engine.program, program, { cwd: place, env });
        await trap.close();
        assert.match(output, expected);
        assert.deepEqual([code, trap.seen], [0, []]);
      });
    }
  }
});

/**
 * Runs a bundle where it can resolve the package, and where only the working directory can.
 *
 * @param {Engine} engine
 * @param {string} cwd
 */
async function bundleRuns({ name, kind, program }, cwd) {
  const bundler = kind === 'bun' ? program : checkoutBun.program;
  const bundle = join('dist', `${name.replace(' ', '-')}.mjs`);
  const args = ['build', 'tenant.mjs', `--target=${kind}`, `--outfile=${bundle}`];
  const built = await run(bundler, args, { cwd });
  assert.equal(built.code, 0, built.output);
  await prints({ program }, bundle, 'hello from a tenant', cwd);
  const elsewhere = join(mkdtempSync(join(directory, 'elsewhere-')), 'bundle.mjs');
  cpSync(join(cwd, bundle), elsewhere);
  await prints({ program }, elsewhere, 'hello from a tenant', cwd);
}

describe(`${SHORT_RUNS} short programs in a row end well`, () => {
  for (const engine of engines) {
    test(engine.name, async () => {
      let left = SHORT_RUNS;
      const cwd = projectOf('npm');
      const inARow = async () => {
        while (left-- > 0) await prints(engine, 'short.mjs', 'disposed', cwd);
      };
      await Promise.all(Array.from({ length: concurrency }, inARow));
    });
  }
});

describe('a damaged installation', { concurrency }, () => {
  /** A copy of the project that npm made. @param {string} name */
  function copyOfProject(name) {
    const cwd = join(directory, name);
    cpSync(projectOf('npm'), cwd, { recursive: true, verbatimSymlinks: true });
    return cwd;
  }
  const own = targets.find(({ cpu, libc }) => cpu === process.arch && libc === 'glibc');
  assert.ok(own);
  const packageDirectory = join('node_modules', ...packageOf(own).split('/'));
  const some = engines.filter(({ name }) => name === 'bun 1.4' || name === 'node 20');

  for (const engine of some) {
    test(`${engine.name}: a node_modules that is a symlink works`, async () => {
      const cwd = copyOfProject(`linked-${engine.kind}`);
      renameSync(join(cwd, 'node_modules'), join(cwd, 'elsewhere'));
      symlinkSync('elsewhere', join(cwd, 'node_modules'));
      await prints(engine, 'tenant.mjs', 'hello from a tenant', cwd);
    });

    test(`${engine.name}: an executable bit that was lost is set again`, async () => {
      const cwd = copyOfProject(`mode-${engine.kind}`);
      const warden = join(cwd, packageDirectory, WARDEN);
      chmodSync(warden, 0o644);
      await prints(engine, 'tenant.mjs', 'hello from a tenant', cwd);
      assert.equal(statSync(warden).mode & 0o777, 0o755);
    });

    test(`${engine.name}: a platform package that is missing is named, with its version`, async () => {
      const cwd = copyOfProject(`missing-${engine.kind}`);
      rmSync(join(cwd, packageDirectory), { recursive: true });
      const { code, message, cause } = await refusalOf(engine, cwd);
      assert.equal(code, 'ERR_RUNTIME_UNSUPPORTED');
      const asked = `${packageOf(own)}@${version} on this machine (linux, ${process.arch}, glibc)`;
      assert.ok(message.includes(`${asked}, which is not installed`), message);
      assert.match(cause, /Cannot find/i);
    });

    test(`${engine.name}: an addon of another version is refused`, async () => {
      const cwd = copyOfProject(`version-${engine.kind}`);
      const loader = join(cwd, 'node_modules', '@absolutejs', 'runtime', 'dist', 'index.js');
      const changed = readFileSync(loader, 'utf8').replace(
        `VERSION = "${version}"`,
        'VERSION = "99.0.0"',
      );
      writeFileSync(loader, changed);
      const { code, message } = await refusalOf(engine, cwd);
      assert.equal(code, 'ERR_RUNTIME_UNSUPPORTED');
      assert.ok(
        message.includes(`is of version ${version}, and @absolutejs/runtime of 99.0.0`),
        message,
      );
    });

    test(`${engine.name}: a missing warden is named`, async () => {
      const cwd = copyOfProject(`warden-${engine.kind}`);
      rmSync(join(cwd, packageDirectory, WARDEN));
      const { code, message } = await refusalOf(engine, cwd);
      assert.equal(code, 'ERR_RUNTIME_UNSUPPORTED');
      assert.match(message, /warden is missing: .* install it again/);
    });

    for (const platform of ['darwin', 'win32']) {
      test(`${engine.name}: ${platform} imports the package, and creating a runtime is refused`, async () => {
        const { code, message } = await refusalOf(engine, projectOf('npm'), platform);
        assert.equal(code, 'ERR_RUNTIME_UNSUPPORTED');
        assert.ok(message.includes(`this is ${platform} on ${process.arch}`), message);
      });
    }
  }

  test('installing without optional dependencies works until a runtime is created', async () => {
    const cwd = join(directory, 'omitted');
    createProject(cwd, registry.url);
    const args = [
      'install',
      '--omit=optional',
      '--no-audit',
      '--no-fund',
      `@absolutejs/runtime@${version}`,
    ];
    const installed = await run('npm', args, {
      cwd,
      env: { npm_config_cache: join(cwd, '.cache') },
    });
    assert.equal(installed.code, 0, installed.output);
    const { message } = await refusalOf(checkoutBun, cwd);
    assert.ok(message.includes(`needs the package ${packageOf(own)}@${version}`), message);
  });
});

/**
 * The error that `createRuntime` throws.
 *
 * @param {{ program: string }} engine
 * @param {string} cwd
 * @param {string} [platform]
 * @returns {Promise<{ code: string, message: string, cause: string }>}
 */
async function refusalOf({ program }, cwd, platform = 'linux') {
  const { code, output } = await run(program, ['refused.mjs', platform], { cwd });
  assert.equal(code, 0, output);
  return JSON.parse(output);
}

/** @param {string} tarball */
function filesIn(tarball) {
  const { stdout } = spawnSync('tar', ['-tvzf', tarball], { encoding: 'utf8' });
  const lines = stdout.trim().split('\n');
  return lines.map((line) => ({ mode: line.slice(0, 10), name: line.split(/\s+/).at(-1) ?? '' }));
}
