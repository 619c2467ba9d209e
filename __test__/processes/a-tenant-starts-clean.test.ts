// A tenant inherits no descriptors, standard input or signal dispositions of its host.
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { engineNames, startHost, Tenants } from '../support/processes/index.ts';

/**
 * Writes what it was started with to files. (`ls` has one more descriptor: the directory that it
 * lists.)
 */
const SPY = `
ls -l /proc/self/fd >fds.txt
cat /proc/self/status >status.txt
readlink /proc/self/cwd >cwd.txt
ulimit -n >files.txt
exec bun server.ts
`;

/** Gives the host descriptors that are not closed on exec, and makes it ignore signals. */
const BEFORE = `trap '' HUP INT QUIT PIPE USR1 USR2 CHLD; exec 7</etc/passwd 8>/dev/null 9</`;

for (const engine of engineNames) {
  test(`${engine}: descriptors, standard input and signals`, async () => {
    await using tenants = new Tenants().add('spy', { start: 'exec sh ./spy.sh', 'spy.sh': SPY });
    await using host = startHost(engine, 'alive.mjs', [tenants.root, 'spy', 'disposed'], {
      before: BEFORE,
    });
    expect({ ...(await host.end()), errors: host.errors }).toEqual({
      code: 0,
      signal: null,
      errors: '',
    });
    const found = (file: string) => readFileSync(join(tenants.root, 'spy', file), 'utf8');

    const links = found('fds.txt')
      .split('\n')
      .flatMap(
        (line) =>
          line
            .match(/(\d+) -> (.+)/)
            ?.slice(1, 3)
            .join(' ') ?? [],
      );
    const [stdin = '', stdout = '', stderr = '', listing = '', ...more] = links;
    expect(stdin).toBe('0 /dev/null');
    expect(stdout).toEndWith('fds.txt');
    expect(stderr).toStartWith('2 pipe:');
    expect(listing).toMatch(/^\d+ \/proc\/\d+\/fd$/);
    expect(more).toEqual([]);

    const status = Object.fromEntries(
      found('status.txt')
        .split('\n')
        .map((line) => line.split(':\t')),
    );
    for (const set of ['SigBlk', 'SigIgn', 'SigCgt', 'SigPnd', 'ShdPnd'])
      expect({ [set]: status[set] }).toEqual({ [set]: '0000000000000000' });
    expect(found('cwd.txt').trim()).toBe(join(tenants.root, 'spy'));
  });
}
