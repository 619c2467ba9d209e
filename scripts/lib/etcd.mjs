// Members of etcd in a temporary directory, for tests of fleets. etcd is the one on PATH, or
// Debian's, unpacked below target/ and not installed: there it would start as a service.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ScriptError } from './run.mjs';
import { architectures } from './vm/architectures.mjs';
import { debianPackages } from './vm/debian.mjs';

/** @typedef {Awaited<ReturnType<typeof createEtcd>>} Etcd */

/** What etcd says when it takes requests, which is after its first election. */
const READY = 'serving client traffic';

/**
 * The program, or undefined where it cannot be had: its tests are skipped then.
 *
 * @returns {string | undefined}
 */
export function findEtcd() {
  const isThere = (/** @type {string} */ name) => spawnSync(name, ['--version']).status === 0;
  if (isThere('etcd')) return 'etcd';
  if (!isThere('apt-get') || !isThere('dpkg')) return undefined;
  const architecture = process.arch === 'arm64' ? architectures.arm64 : architectures.x64;
  return join(debianPackages(architecture).unpack('etcd-server'), 'usr/bin/etcd');
}

/**
 * Starts members that know each other, each on two free ports of 127.0.0.1 unless `host` gives it
 * an address of its own.
 *
 * @param {object} [options]
 * @param {string} [options.program]
 * @param {number} [options.members]
 * @param {(index: number) => string} [options.host] the address of a member
 * @param {(index: number) => string[]} [options.prefix] what a member is started by, such as
 * `ip netns exec NAME`
 * @param {string[]} [options.args] more arguments of etcd's
 */
export async function createEtcd({
  program = findEtcd(),
  members: count = 1,
  host = () => '127.0.0.1',
  prefix = () => [],
  args = [],
} = {}) {
  if (program === undefined) throw new ScriptError('there is no etcd here: install it');
  const directory = mkdtempSync(join(tmpdir(), 'etcd-'));
  const ports = await freePorts(count * 2);
  const places = Array.from({ length: count }, (_, index) => ({
    name: `m${index}`,
    client: `http://${host(index)}:${ports[index]}`,
    peer: `http://${host(index)}:${ports[count + index]}`,
  }));
  const cluster = places.map(({ name, peer }) => `${name}=${peer}`).join(',');

  const members = places.map(({ name, client, peer }, index) => {
    /** @type {import('node:child_process').ChildProcess | undefined} */
    let child;
    return {
      endpoint: client,
      get pid() {
        return child?.pid;
      },
      /** Resolves when it takes requests. Of several members most have to be started for that. */
      async start() {
        const [command = '', ...words] = [...prefix(index), program];
        const own = spawn(
          command,
          [
            ...words,
            ...['--name', name, '--data-dir', join(directory, name), '--logger', 'zap'],
            ...['--listen-client-urls', client, '--advertise-client-urls', client],
            ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
            ...['--initial-cluster', cluster, ...args],
          ],
          { stdio: ['ignore', 'ignore', 'pipe'] },
        );
        child = own;
        await isReady(own);
      },
      /** As `kill -9`, waited for. */
      async kill() {
        const own = child;
        child = undefined;
        if (own === undefined || own.exitCode !== null || own.signalCode !== null) return;
        own.kill('SIGKILL');
        await once(own, 'exit');
      },
      /** It does nothing more, and whoever is connected to it stays so. */
      pause: () => void child?.kill('SIGSTOP'),
      resume: () => void child?.kill('SIGCONT'),
    };
  });

  const etcd = {
    members,
    endpoints: members.map(({ endpoint }) => endpoint),
    /** Ends all of them and removes what they kept. */
    async close() {
      await Promise.all(members.map((member) => member.kill()));
      rmSync(directory, { recursive: true, force: true });
    },
  };
  try {
    await Promise.all(members.map((member) => member.start()));
  } catch (error) {
    await etcd.close();
    throw error;
  }
  return etcd;
}

/** @param {import('node:child_process').ChildProcess} child whose stderr goes on to be read */
function isReady(child) {
  return /** @type {Promise<void>} */ (
    new Promise((resolve, reject) => {
      /** @type {string[]} */
      const log = [];
      let hasBegun = false;
      child.on('error', reject);
      child.on('exit', (code, signal) => {
        reject(new ScriptError(`etcd ended (${signal ?? code}):\n${log.slice(-20).join('\n')}`));
      });
      if (child.stderr === null) return;
      createInterface(child.stderr).on('line', (line) => {
        if (hasBegun) return;
        log.push(line);
        hasBegun = line.includes(READY);
        if (hasBegun) resolve();
      });
    })
  );
}

/**
 * Ports that nobody has. All are held before one is let go, so that no two are the same.
 *
 * @param {number} count
 */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map(
    (server) => /** @type {import('node:net').AddressInfo} */ (server.address()).port,
  );
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
