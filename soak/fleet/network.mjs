// A network of machines on this one: a network namespace each, joined by a bridge in one more, so
// that nothing of the machine's own network is touched. Root only.
import { execFileSync } from 'node:child_process';

/** The addresses, of which no packet leaves the namespaces. */
const SUBNET = '10.77.0';

/** @param {string[]} args */
const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });

export class Network {
  /** The namespace with the bridge; who runs in it reaches every machine. */
  #lab;
  /** @type {Map<string, { namespace: string; address: string }>} */
  #machines = new Map();
  /** @type {Set<string>} */
  #cuts = new Set();

  /** @param {string} name no other network of this machine has it; seven characters at most */
  constructor(name) {
    this.#lab = `${name}-lab`;
    ip('netns', 'add', this.#lab);
    ip('-n', this.#lab, 'link', 'set', 'lo', 'up');
    ip('-n', this.#lab, 'link', 'add', 'bridge', 'type', 'bridge');
    ip('-n', this.#lab, 'addr', 'add', `${SUBNET}.254/24`, 'dev', 'bridge');
    ip('-n', this.#lab, 'link', 'set', 'bridge', 'up');
    this.name = name;
  }

  /** @param {string} machine @returns its address */
  add(machine) {
    const number = this.#machines.size + 1;
    const namespace = `${this.name}-${machine}`;
    const address = `${SUBNET}.${number}`;
    ip('netns', 'add', namespace);
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
    const peer = { name: `port${number}`, netns: this.#lab };
    ip(
      '-n',
      namespace,
      'link',
      'add',
      'eth0',
      'type',
      'veth',
      'peer',
      ...Object.entries(peer).flat(),
    );
    ip('-n', this.#lab, 'link', 'set', peer.name, 'master', 'bridge', 'up');
    ip('-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    ip('-n', namespace, 'link', 'set', 'eth0', 'up');
    this.#machines.set(machine, { namespace, address });
    return address;
  }

  /** What to put before a command so that it runs on the machine. @param {string} machine */
  on(machine) {
    return ['ip', 'netns', 'exec', this.#machine(machine).namespace];
  }

  /** What to put before a command that reaches every machine and is cut from none. */
  get onLab() {
    return ['ip', 'netns', 'exec', this.#lab];
  }

  /** @param {string} machine */
  addressOf(machine) {
    return this.#machine(machine).address;
  }

  /** Nothing comes from one machine to the other any more; the other way it does. */
  cut(/** @type {string} */ from, /** @type {string} */ to) {
    this.#set('add', from, to);
  }

  /** Takes a cut back. */
  mend(/** @type {string} */ from, /** @type {string} */ to) {
    this.#set('del', from, to);
  }

  /** Takes all cuts back. */
  mendAll() {
    for (const cut of [...this.#cuts]) {
      const [from = '', to = ''] = cut.split(' ');
      this.mend(from, to);
    }
  }

  close() {
    for (const { namespace } of this.#machines.values()) ip('netns', 'del', namespace);
    ip('netns', 'del', this.#lab);
  }

  /** @param {'add' | 'del'} what @param {string} from @param {string} to */
  #set(what, from, to) {
    const cut = `${from} ${to}`;
    if (this.#cuts.has(cut) === (what === 'add')) return;
    const neighbour = [this.addressOf(to), 'dev', 'eth0'];
    // Packets go to a card that nobody has: lost without a word, as those to a machine that is gone.
    const nobody = what === 'add' ? ['lladdr', '02:00:00:00:00:01', 'nud', 'permanent'] : [];
    const { namespace } = this.#machine(from);
    ip('-n', namespace, 'neigh', what === 'add' ? 'replace' : 'del', ...neighbour, ...nobody);
    if (what === 'add') this.#cuts.add(cut);
    else this.#cuts.delete(cut);
  }

  /** @param {string} name */
  #machine(name) {
    const machine = this.#machines.get(name);
    if (machine === undefined) throw new Error(`there is no machine ${name}`);
    return machine;
  }
}
