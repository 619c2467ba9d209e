// What walls do not keep a tenant from. These tests document it, as the guide does: when one fails
// because something holds by now, the guide has to say so.
import { expect, test } from 'bun:test';
import { chmodSync } from 'node:fs';
import type { AttemptName, Attempts } from '../../support/walls/ask.ts';
import { landlock, SINCE } from '../../support/walls/kernel.ts';
import { inEachWorld, type Key } from '../../support/walls/world.ts';

inEachWorld((world, name) => {
  const hasOwnUser = name === 'with a user each';
  const outcomeOf = async <A extends AttemptName>(
    key: Key,
    attempt: A,
    ...args: Parameters<Attempts[A]>
  ) => (await world().try(key, attempt, ...args)).outcome;

  test('a neighbour can be connected to by its port, and so can all the network', async () => {
    const { port } = world().tenants.victim;
    expect(await outcomeOf('attacker', 'connectTo', '127.0.0.1', port)).toBe('ok');
  });

  test('any UDP port can be listened on and sent to', async () => {
    expect(await outcomeOf('attacker', 'bindDatagrams', '127.0.0.1', 0)).toBe('ok');
    expect(await outcomeOf('attacker', 'sendDatagram', '127.0.0.1', 9)).toBe('ok');
  });

  test('a socket that was bound to nothing can listen, on a port that the kernel chooses', async () => {
    expect(await outcomeOf('attacker', 'listenAnywhere')).toBe('ok');
  });

  test('which processes there are, and their arguments, can be read', async () => {
    for (const file of ['cmdline', 'stat', 'status', 'cgroup', 'comm']) {
      const path = `/proc/${world().tenants.victim.pid}/${file}`;
      expect([file, await outcomeOf('attacker', 'read', path)]).toEqual([file, 'ok']);
    }
  });

  test('which connections there are can be read', async () => {
    expect(await outcomeOf('attacker', 'read', '/proc/net/tcp')).toBe('ok');
  });

  test('that a file is there, and its size, can be seen', async () => {
    expect(await outcomeOf('attacker', 'stat', world().file('victim'))).toBe('ok');
    expect(await outcomeOf('attacker', 'stat', world().hostFile)).toBe('ok');
  });

  test('that a file changes can be seen, unless a user of its own may not read it', async () => {
    const file = world().file('victim');
    expect(await outcomeOf('attacker', 'watch', file)).toBe('ok');
    if (!hasOwnUser) return;
    chmodSync(file, 0o640);
    expect(await outcomeOf('attacker', 'watch', file)).toBe('EACCES');
    chmodSync(file, 0o666);
  });

  test('attributes of files of the same user can be changed, of other users not', async () => {
    const file = world().file('victim');
    expect(await outcomeOf('attacker', 'changeMode', file)).toBe(hasOwnUser ? 'EPERM' : 'ok');
    chmodSync(file, 0o644);
    expect(await outcomeOf('attacker', 'touch', file)).toBe(hasOwnUser ? 'EPERM' : 'ok');
    const attribute = await outcomeOf('attacker', 'setAttribute', file);
    // In memory there are none before Linux 6.6.
    expect(hasOwnUser ? ['EACCES'] : ['ok', 'EOPNOTSUPP']).toContain(attribute);
    chmodSync(file, 0o666);
  });

  test("a neighbour's unix socket with a path can be reached by the same user", async () => {
    const path = world().file('victim', 'its.sock');
    expect(await outcomeOf('victim', 'receiveAt', path)).toBe('ok');
    const isSeen = landlock >= SINCE.pathSockets;
    const expected = isSeen || hasOwnUser ? 'EACCES' : 'ok';
    expect(await outcomeOf('attacker', 'connectToUnix', path)).toBe(expected);
    const own = world().file('attacker');
    expect(await outcomeOf('attacker', 'passDescriptor', path, own)).toBe(expected);
  });

  // As root they would be missing to all of the machine's programs meanwhile.
  test.skipIf(name === 'as root')('watches of files can be used up for the same user', async () => {
    const used = await world().try('attacker', 'openWatches', 100_000);
    expect(JSON.parse(used.detail).error).toBe('EMFILE');
    const others = await world().try('victim', 'openWatches', 1);
    expect(JSON.parse(others.detail).error).toBe(hasOwnUser ? '' : 'EMFILE');
    for (const key of ['attacker', 'victim'] as const) await outcomeOf(key, 'closeWatches');
  });
});
