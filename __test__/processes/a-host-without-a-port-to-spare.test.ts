// Without a free TCP port a start fails with ERR_RUNTIME_NO_PORT, which is not counted as a
// failure of the key. Ports are reused at once: connections that have just been closed do not
// block them. Runs in a network namespace with five ports.
import { expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { engineNames, SERVER, startHost, Tenants } from '../support/processes/index.ts';

const PORTS = 5;
const NETWORK =
  'ip link set lo up && ' +
  `echo 50000 ${50_000 + PORTS - 1} > /proc/sys/net/ipv4/ip_local_port_range && exec "$@"`;
/** A shell command that runs its arguments in the namespace. */
const before = `set -- unshare --user --map-root-user --net sh -c '${NETWORK}' sh "$@"`;

/** A server that closes connections itself, which leaves them in TIME_WAIT for a minute. */
const CLOSING = SERVER.replace("'hello')", "'hello', { headers: { connection: 'close' } })");

const canHaveNetwork = spawnSync('unshare', [
  '--user',
  '--map-root-user',
  '--net',
  'ip',
  'link',
  'set',
  'lo',
  'up',
]);

for (const engine of engineNames) {
  test.if(canHaveNetwork.status === 0)(
    `a host with few ports uses them again, and says when there is none (${engine})`,
    async () => {
      await using tenants = new Tenants();
      // One port is left for the connections of readiness checks.
      const keys = Array.from({ length: PORTS - 1 }, (_, index) => `app-${index}`);
      for (const key of [...keys, 'more']) tenants.add(key, { 'server.ts': CLOSING });
      await using host = startHost(engine, 'crowded.mjs', [tenants.root], { before });
      const told = async (line: string) => {
        host.say(line);
        return JSON.parse(await host.said(line));
      };
      expect(await told(`cycle more ${4 * PORTS}`)).toEqual(['ready', 0]);
      for (const key of keys) expect(await told(`start ${key}`)).toEqual(['ready', 0]);
      expect(await told('start more')).toEqual(['ERR_RUNTIME_NO_PORT', 0]);
      expect(await told('kill app-0')).toEqual(['done', 0]);
      expect(await told('start more ')).toEqual(['ready', 0]);
      host.say('end');
      expect(await host.exited).toEqual({ code: 0, signal: null });
    },
  );
}
