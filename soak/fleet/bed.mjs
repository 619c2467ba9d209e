// The fleet's test bed: members of etcd, hosts with tenants, and visitors, each on a machine of its
// own (a network namespace).
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createEtcd } from '../../scripts/lib/etcd.mjs';
import { bun } from '../../scripts/lib/paths.mjs';
import { Network } from './network.mjs';
import { killAll, Program } from './programs.mjs';

const here = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));

const A_DAY_SECONDS = 86_400;
/** Whether the kernel gives a process clocks of its own (Linux 5.6). */
const HAS_CLOCKS = spawnSync('unshare', ['--time', '--boottime', '1', 'true']).status === 0;

export class Bed {
  /** @type {Map<string, import('../../scripts/lib/etcd.mjs').Etcd['members'][number]>} */
  members = new Map();
  /** @type {import('../../scripts/lib/etcd.mjs').Etcd | undefined} */
  #etcd;
  /** @type {Map<string, Program>} */
  hosts = new Map();
  /** Machines that a fault is about just now. @type {Set<string>} */
  busy = new Set();
  #directory = mkdtempSync(join(tmpdir(), 'fleet-'));
  witness = join(this.#directory, 'witness');

  /** @param {{ members: number; hosts: number; keys: number; leaseMs: number; engine: string }} size */
  constructor(size) {
    this.size = size;
    this.network = new Network(`f${process.pid}`);
    this.keys = Array.from({ length: size.keys }, (_, number) => `key-${number}`);
    writeFileSync(this.witness, '');
    for (const key of this.keys)
      cpSync(here('tenant'), join(this.#directory, 'root', key), { recursive: true });
    for (let number = 1; number <= size.members; number += 1) this.network.add(`m${number}`);
    for (let number = 1; number <= size.hosts; number += 1) this.network.add(`h${number}`);
    this.memberNames = Array.from({ length: size.members }, (_, number) => `m${number + 1}`);
    this.hostNames = Array.from({ length: size.hosts }, (_, number) => `h${number + 1}`);
  }

  /** Starts the store, which must take requests before hosts are started. */
  async startStore() {
    const machine = (/** @type {number} */ index) => this.memberNames[index] ?? '';
    const etcd = await createEtcd({
      members: this.size.members,
      host: (index) => this.network.addressOf(machine(index)),
      prefix: (index) => this.network.on(machine(index)),
    });
    this.#etcd = etcd;
    etcd.members.forEach((member, index) => this.members.set(machine(index), member));
  }

  /**
   * @param {string} name
   * @param {{ weight?: number; endpoints?: undefined; pretends?: boolean }} [more] without endpoints
   * it is in no fleet; one that pretends has tenants that are no processes
   */
  startHost(name, more) {
    const settings = {
      id: name,
      address: this.network.addressOf(name),
      root: join(this.#directory, 'root'),
      witness: this.witness,
      endpoints: this.#etcd?.endpoints,
      leaseMs: this.size.leaseMs,
      secret: 'a secret that all hosts of the bed share',
      ...more,
    };
    const engine = this.size.engine === 'bun' ? bun : 'node';
    const machine = [...this.network.on(name), ...this.#clockOf(name)];
    const command = [...machine, engine, here('host.mjs'), JSON.stringify(settings)];
    // Tenants' own start scripts say `bun`.
    const path = [dirname(bun), process.env.PATH].join(':');
    const program = new Program(command, { PATH: path });
    this.hosts.set(name, program);
    return program;
  }

  /**
   * Each host has been up for another time: its clocks are days apart from those of others, as on
   * machines. (How fast they go is the machine's.)
   *
   * @param {string} name
   */
  #clockOf(name) {
    if (!HAS_CLOCKS) return [];
    const seconds = String(this.hostNames.indexOf(name) * A_DAY_SECONDS);
    return ['unshare', '--time', '--monotonic', seconds, '--boottime', seconds];
  }

  /**
   * Visitors until their stdin ends.
   *
   * @param {number} perSecond
   * @param {string} seed
   * @param {{ keys?: string[]; through?: string[] }} [which] keys, and names of the hosts that are asked
   */
  startVisitors(perSecond, seed, { keys = this.keys, through = this.hostNames } = {}) {
    const gateways = through.map((name) => this.network.addressOf(name));
    return this.startInLab(here('client.mjs'), { gateways, keys, perSecond, seed });
  }

  /** A program for Node that reaches every machine. @param {string} file @param {object} settings */
  startInLab(file, settings) {
    return new Program([...this.network.onLab, 'node', file, JSON.stringify(settings)]);
  }

  /** What the tenants have written. */
  told() {
    return readFileSync(this.witness, 'utf8');
  }

  /** Pids of tenants that live: those whose environment names this bed's file. */
  tenantsAlive() {
    return readdirSync('/proc').filter((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
        return environment.includes(`WITNESS=${this.witness}\0`);
      } catch {
        return false;
      }
    });
  }

  async close() {
    await this.#etcd?.close();
    await killAll();
    this.network.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/**
 * Does work in a bed with a store, and takes the bed away, also when this script is interrupted:
 * namespaces and programs would outlive it.
 *
 * @template T
 * @param {ConstructorParameters<typeof Bed>[0]} size
 * @param {(bed: Bed) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withBed(size, work) {
  const bed = new Bed(size);
  const interrupted = () => void bed.close().finally(() => process.exit(1));
  const signals = /** @type {const} */ (['SIGINT', 'SIGTERM']);
  for (const signal of signals) process.once(signal, interrupted);
  try {
    await bed.startStore();
    return await work(bed);
  } catch (error) {
    for (const [name, { complaints }] of bed.hosts) if (complaints) console.log(name, complaints);
    throw error;
  } finally {
    for (const signal of signals) process.off(signal, interrupted);
    await bed.close();
  }
}
