// The fleet's test bed: members of etcd, hosts with tenants, and visitors, each on a machine of its
// own (a network namespace).
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

  /** @param {string} name */
  startHost(name) {
    const settings = {
      id: name,
      address: this.network.addressOf(name),
      root: join(this.#directory, 'root'),
      witness: this.witness,
      endpoints: this.#etcd?.endpoints,
      leaseMs: this.size.leaseMs,
      secret: 'a secret that all hosts of the bed share',
    };
    const engine = this.size.engine === 'bun' ? bun : process.execPath;
    const command = [...this.network.on(name), engine, here('host.mjs'), JSON.stringify(settings)];
    // Tenants' own start scripts say `bun`.
    const path = [dirname(bun), process.env.PATH].join(':');
    const program = new Program(command, { PATH: path });
    this.hosts.set(name, program);
    return program;
  }

  /** Visitors until their stdin ends. @param {number} perSecond @param {string} seed */
  startVisitors(perSecond, seed) {
    const gateways = this.hostNames.map((name) => this.network.addressOf(name));
    const settings = { gateways, keys: this.keys, perSecond, seed };
    const command = [
      ...this.network.onLab,
      process.execPath,
      here('client.mjs'),
      JSON.stringify(settings),
    ];
    return new Program(command);
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
