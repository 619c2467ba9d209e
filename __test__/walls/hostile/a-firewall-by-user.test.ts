// The firewall of docs/limits-and-walls.md keeps tenants that have users of their own from their
// neighbours' ports, the metadata address and private networks. It runs in a network namespace of
// its own: the machine's rules are left alone.
import { expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startHost, Tenants } from '../../support/processes/index.ts';
import { putProgram } from '../../support/walls/ask.ts';
import { isRoot } from '../../support/walls/world.ts';

const GUIDE = join(import.meta.dir, '..', '..', '..', 'docs', 'limits-and-walls.md');
const IN_NAMESPACE = ['unshare', '--net'];
const ADDRESSES = ['169.254.169.254/32', '10.1.2.3/32'];

/** Why it cannot be run here; undefined if it can. */
function obstacle(): string | undefined {
  if (!isRoot) return 'needs root';
  const [program = '', ...args] = [...IN_NAMESPACE, 'nft', 'list', 'ruleset'];
  const tried = spawnSync(program, args, { encoding: 'utf8' });
  if (tried.status === 0) return undefined;
  return `needs nftables and network namespaces: ${tried.stderr?.trim() || tried.error}`;
}

const why = obstacle();
const note = why === undefined ? '' : ` (${why})`;

test.skipIf(why !== undefined)(
  `a firewall by user keeps tenants where they belong${note}`,
  async () => {
    const rules = /```nft\n([^]*?)```/.exec(readFileSync(GUIDE, 'utf8'))?.[1] ?? '';
    const [, first = '', last = ''] = /skuid != (\d+)-(\d+) accept/.exec(rules) ?? [];
    await using tenants = new Tenants();
    for (const key of ['attacker', 'victim']) putProgram(join(tenants.root, key));
    chmodSync(tenants.root, 0o755);
    writeFileSync(join(tenants.root, 'rules.nft'), rules);
    const setUp = [
      'ip link set lo up',
      ...ADDRESSES.map((address) => `ip address add ${address} dev lo`),
      `nft --file ${join(tenants.root, 'rules.nft')}`,
    ];
    const reached = async (commands: string[]) => {
      const count = String(Number(last) - Number(first) + 1);
      await using host = startHost('Bun', 'firewall.mjs', [tenants.root, first, count], {
        before: `set -- ${IN_NAMESPACE.join(' ')} sh -ec '${commands.join('; ')}; exec "$@"' sh "$@"`,
      });
      const said =
        await host.saidJson<Record<'tenants' | 'hosts', Record<string, string>>>('reached');
      await host.end();
      return said;
    };

    const behind = await reached(setUp);
    expect(behind.tenants).toEqual({
      'its database': 'ok',
      'its database, by UDP': 'EPERM',
      "its neighbour's port": 'ECONNREFUSED',
      "its neighbour's port, by UDP": 'EPERM',
      "its neighbour's port by another address": 'ECONNREFUSED',
      "its neighbour's port by another address, by UDP": 'EPERM',
      'the metadata address': 'ECONNREFUSED',
      'the metadata address, by UDP': 'EPERM',
      'a private network': 'ECONNREFUSED',
      'a private network, by UDP': 'EPERM',
    });
    expect(new Set(Object.values(behind.hosts))).toEqual(
      new Set(['ok', expect.stringContaining('ECONNREFUSED')]),
    );
    // The neighbour listens on loopback only, so nobody finds it by another address.
    expect(behind.hosts["its neighbour's port"]).toBe('ok');
    expect(behind.hosts['the metadata address']).toBe('ok');

    const without = await reached(setUp.slice(0, -1));
    expect(without.tenants['the metadata address']).toBe('ok');
    expect(without.tenants["its neighbour's port"]).toBe('ok');
    expect(without.tenants['its database, by UDP']).toBe('ok');
  },
);
