// The private temporary directory of a tenant is gone after its end, whatever the tenant has put
// there, and nothing beside it.
import { expect, test } from 'bun:test';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { inEachWorld, type World } from '../../support/walls/world.ts';

async function directoryOf(world: World): Promise<string> {
  await world.start('later');
  const { detail } = await world.try('later', 'environment');
  return JSON.parse(detail).TMPDIR;
}

/** Has the tenant do something there, ends it, and looks. */
async function isGoneAfter(world: World, script: string): Promise<void> {
  const directory = await directoryOf(world);
  expect([existsSync(directory), statSync(directory).mode & 0o777]).toEqual([true, 0o700]);
  const done = await world.try('later', 'run', ['sh', '-ec', `cd "$TMPDIR"; ${script}`]);
  expect(done).toMatchObject({ outcome: 'ok' });
  await world.call('kill', 'later');
  expect(existsSync(directory)).toBeFalse();
}

inEachWorld((world) => {
  test('it is gone with ordinary files', () =>
    isGoneAfter(world(), "mkdir -p a/b; echo x >a/b/c; mkfifo pipe; echo x >'a new\nline'"));

  test('links in it are removed and not followed', async () => {
    const victim = world().tenants.victim.directory;
    await isGoneAfter(
      world(),
      `ln -s ${victim} victim; ln -s ${victim}/secret.txt secret; ln -s / all`,
    );
    expect(readFileSync(world().file('victim'), 'utf8')).toBe(world().tenants.victim.secret);
  });

  test('directories that nobody may enter are removed', () =>
    isGoneAfter(
      world(),
      'mkdir -p shut/within; echo x >shut/within/file; chmod 0 shut/within shut .',
    ));

  test('directories deeper than a path can be long are removed', async () => {
    const directory = await directoryOf(world());
    const made = await world().tryInChild('later', 'nest', directory, 600, 'long-name');
    expect(made).toEqual({ outcome: 'ok', detail: '' });
    await world().call('kill', 'later');
    expect(existsSync(directory)).toBeFalse();
  });

  test('very many files are removed', () =>
    isGoneAfter(world(), 'seq 1 2000 | sed "s/^/file-/" | xargs touch'));

  test('it cannot be replaced by a link to a directory of others', async () => {
    const directory = await directoryOf(world());
    const victim = world().tenants.victim.directory;
    const script = `cd /; rmdir "$TMPDIR" || mv "$TMPDIR" "$TMPDIR-2"; ln -s ${victim} "$TMPDIR"`;
    await world().try('later', 'run', ['sh', '-c', script]);
    await world().call('kill', 'later');
    expect([existsSync(directory), existsSync(`${directory}-2`)]).toEqual([false, false]);
    expect(readFileSync(world().file('victim'), 'utf8')).toBe(world().tenants.victim.secret);
  });

  test('it is gone after a crash, too', async () => {
    const directory = await directoryOf(world());
    await world().try('later', 'run', ['sh', '-c', 'echo x >"$TMPDIR/file"']);
    await world().crash('later');
    expect(existsSync(directory)).toBeFalse();
    const next = await directoryOf(world());
    expect(next).not.toBe(directory);
    await world().call('kill', 'later');
  });
});
