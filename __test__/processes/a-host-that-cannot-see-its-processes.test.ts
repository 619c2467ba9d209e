// Without its own /proc a host cannot tell which processes belong to a tenant, so it starts none.
import { expect, test } from 'bun:test';
import { engineNames, startHost, Tenants, until } from '../support/processes/index.ts';

const unshared = Bun.spawnSync([
  'unshare',
  '-m',
  '-p',
  '-f',
  'mount',
  '-t',
  'proc',
  'proc',
  '/proc',
]);

/**
 * How the host is started, what it does before it ensures a tenant, and the reason of the refusal.
 */
const CASES = {
  // The engines need one to begin with.
  'there is none': {
    by: 'unshare -m',
    script: 'mount -t tmpfs none /proc',
    why: 'there is no /proc here',
  },
  'it is that of another pid namespace': {
    by: 'unshare -p -f',
    script: 'true',
    why: 'another pid namespace',
  },
  'it hides processes': {
    by: 'unshare -m setpriv --bounding-set -sys_ptrace',
    script: 'mount -t proc -o hidepid=2 proc /proc',
    why: 'mounted with hidepid=',
  },
};

for (const engine of engineNames) {
  for (const [name, { by, script, why }] of Object.entries(CASES)) {
    test.skipIf(unshared.exitCode !== 0)(`${engine}: ${name}`, async () => {
      await using tenants = new Tenants().add('app');
      await using host = startHost(engine, 'refused.mjs', [tenants.root, script], {
        before: `set -- ${by} "$@"`,
      });
      expect(await host.saidJson('refused')).toEqual({
        code: 'ERR_RUNTIME_UNSUPPORTED',
        key: 'app',
        message: expect.stringContaining(why),
      });
      await host.said('disposed');
      expect((await host.end()).code).toBe(0);
      expect(tenants.processes()).toEqual([]);
    });
  }
}

for (const engine of engineNames) {
  test.skipIf(unshared.exitCode !== 0)(
    `${engine}: tenants that run when /proc is unmounted are ended all the same`,
    async () => {
      await using tenants = new Tenants().add('one').add('two');
      await using host = startHost(
        engine,
        'hides.mjs',
        [tenants.root, 'mount -t tmpfs none /proc'],
        {
          before: 'set -- unshare -m "$@"',
        },
      );
      await host.said('started');
      // A tenant counts as ready before its daemon runs.
      await until('all run', () => tenants.processes().length >= 4);
      host.say('go on');
      await host.said('killed');
      await host.said('disposed');
      // The root is among the host's arguments, so the host itself is found until it has ended.
      expect((await host.end()).code).toBe(0);
      expect(tenants.processes()).toEqual([]);
    },
  );
}
