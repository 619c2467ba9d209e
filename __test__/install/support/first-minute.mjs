// The first minute of README.md, word for word but for the ports: each of its commands in a shell,
// with nothing in the directory but what they and its files have put there.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { checkoutBun } from './engines.mjs';
import { userEnvironment } from './projects.mjs';

const BLOCK = /(?:<!-- file: (\S+) -->\n)?```(\w*)\n([^]*?)\n```/g;
const LIMIT_MS = 120_000;

/** A port that is free now. @returns {Promise<number>} */
const freePort = () =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });

/** What the section says: its files, its three commands, and what the second prints. */
async function readSection() {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const [, section = ''] = /^## The first minute\n([^]*?)^## /m.exec(readme) ?? [];
  const [port, dashboard] = [await freePort(), await freePort()];
  const text = section.replaceAll('3000', `${port}`).replaceAll('3900', `${dashboard}`);
  const blocks = [...text.matchAll(BLOCK)].map(([, file, language, code = '']) => {
    return { file, language, code };
  });
  const commands = blocks.filter(({ language }) => language === 'sh').map(({ code }) => code);
  assert.equal(commands.length, 3);
  const output = blocks.find(({ language }) => language === '')?.code ?? '';
  return { port, files: blocks.filter(({ file }) => file), commands, output };
}

/** A command in a shell, in a process group of its own as a terminal gives it one. */
class Shell {
  stdout = '';
  /** Both streams. */
  output = '';
  /** @type {Promise<number | null>} */
  ended;
  #child;
  #hasEnded = false;

  /** @param {string} command @param {{ cwd: string, env: NodeJS.ProcessEnv }} options */
  constructor(command, { cwd, env }) {
    const child = spawn('bash', ['-euc', command], {
      ...{ cwd, env, detached: true, timeout: LIMIT_MS },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.on('data', (data) => {
      this.stdout += data;
      this.output += data;
    });
    child.stderr.on('data', (data) => (this.output += data));
    this.#child = child;
    this.ended = new Promise((resolve) =>
      child.once('close', (code) => {
        this.#hasEnded = true;
        resolve(code);
      }),
    );
  }

  /** Resolves with the first match in its stdout. @param {RegExp} pattern */
  async says(pattern) {
    const deadline = Date.now() + LIMIT_MS;
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match) return match;
      const problem = this.#hasEnded
        ? 'it has ended'
        : Date.now() > deadline && 'it takes too long';
      assert.ok(!problem, `${problem} without ${pattern}: ${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** What ^C sends, to all of its group. */
  interrupt() {
    process.kill(-(this.#child.pid ?? NaN), 'SIGINT');
    return this.ended;
  }

  /** Leaves nothing of it. */
  [Symbol.dispose]() {
    if (!this.#hasEnded) process.kill(-(this.#child.pid ?? NaN), 'SIGKILL');
  }
}

/**
 * Does what the section says, in an empty directory.
 *
 * @param {string} place a directory for this alone
 * @param {{ program: string }} node the engine of npx
 * @param {string} registryUrl
 */
export async function followFirstMinute(place, node, registryUrl) {
  const [cwd, bin] = [join(place, 'empty'), join(place, 'bin')];
  for (const directory of [place, cwd, bin]) mkdirSync(directory);
  symlinkSync(node.program, join(bin, 'node'));
  symlinkSync(checkoutBun.program, join(bin, 'bun'));
  const { no_proxy, NO_PROXY } = process.env;
  const env = {
    ...userEnvironment(),
    PATH: [bin, process.env.PATH].join(delimiter),
    // npm looks for this beside its engine, which is another one than this machine's.
    npm_config_globalconfig: execFileSync('npm', ['config', 'get', 'globalconfig'], {
      encoding: 'utf8',
    }).trim(),
    // As .npmrc would say it.
    'npm_config_@absolutejs:registry': registryUrl,
    npm_config_cache: join(place, 'cache'),
    no_proxy: [no_proxy || NO_PROXY, '.localhost', '127.0.0.1'].filter(Boolean).join(),
    XDG_RUNTIME_DIR: place,
  };
  const { port, files, commands, output } = await readSection();
  const [install = '', serve = '', look = ''] = commands;

  const installed = new Shell(install, { cwd, env });
  assert.equal(await installed.ended, 0, installed.output);
  for (const { file = '', code } of files) {
    mkdirSync(dirname(join(cwd, file)), { recursive: true });
    writeFileSync(join(cwd, file), code);
  }

  const host = new Shell(serve, { cwd, env: { ...env, ABSOLUTE_RUNTIME_PORT: `${port}` } });
  let looks;
  try {
    const [link = ''] = await host.says(/^http:\S+\?token=\S+$/m);
    assertShows(host.output, output);
    looks = new Shell(look, { cwd, env });
    await looks.says(/^hello/);
    await looks.says(/^hello +running +\d+/m);
    await looks.says(/^\[hello\] \$ bun server\.ts$/m);
    await looks.interrupt();
    const page = await fetch(link);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /<title>Tenants<\/title>/);
    await host.interrupt();
    assert.match(host.output, /SIGINT: ends in order/);
    await assert.rejects(fetch(link), 'the host is still there');
  } finally {
    host[Symbol.dispose]();
    looks?.[Symbol.dispose]();
  }
}

/**
 * Each line of `expected` is in the output, in this order; `…` stands for anything.
 *
 * @param {string} output
 * @param {string} expected
 */
function assertShows(output, expected) {
  let printed = output.split('\n');
  for (const line of expected.split('\n').filter((text) => !['', '…'].includes(text.trim()))) {
    const parts = line.split('…').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    const pattern = new RegExp(`^${parts.join('.*')}$`);
    const found = printed.findIndex((text) => pattern.test(text));
    assert.ok(found >= 0, `there is no line "${line}": ${output}`);
    printed = printed.slice(found + 1);
  }
}
