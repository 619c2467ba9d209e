// What a host cannot keep it refuses, and says what to change; with `enforce: "best-effort"` it
// starts its tenants and says what is missing.
import { expect, test as bunTest } from 'bun:test';
import { chmodSync, chownSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createRuntime } from '@absolutejs/runtime';
import {
  binDirectory,
  canLimitTrees,
  engineNames,
  startHost,
  Tenants,
} from '../support/processes/index.ts';

const UID = 60_000 + (process.pid % 5_000);
/** A host of another user, with no control group of its own. */
const isRoot = process.getuid?.() === 0;
const asUser = isRoot ? `setpriv --reuid=${UID} --clear-groups` : '';
/** A user may have been given groups. */
const test = bunTest.skipIf(!isRoot && canLimitTrees);

async function outcomeOf(
  engine: (typeof engineNames)[number],
  options: object,
): Promise<[word: string, found: any]> {
  await using tenants = new Tenants().add('app');
  chmodSync(tenants.root, 0o755);
  if (isRoot) chownSync(join(tenants.root, 'app'), UID, UID);
  await using host = startHost(engine, 'confines.mjs', [tenants.root, JSON.stringify(options)], {
    env: { ...process.env, PATH: `${binDirectory}:${process.env.PATH}`, HOME: '/' },
    before: `set -- ${asUser} "$@"`,
  });
  await host.exited;
  const [line = ''] = host.lines;
  const space = line.indexOf(' ');
  if (space < 0) throw new Error(`${line}${host.errors}`);
  return [line.slice(0, space), JSON.parse(line.slice(space + 1))];
}

for (const engine of engineNames) {
  test(`${engine}: a limit that takes a control group is refused at once`, async () => {
    const [word, { code, message }] = await outcomeOf(engine, {
      limits: { memoryBytes: 1 << 28, openFiles: 100 },
    });
    expect([word, code]).toEqual(['refused', 'ERR_RUNTIME_UNSUPPORTED']);
    expect(message).toMatch(/^limits\.memoryBytes cannot be kept on this host: .+; .+/);
    expect(message).not.toContain('openFiles');
  });

  test(`${engine}: so is a user of its own`, async () => {
    for (const user of [
      { uid: 1_000, gid: 1_000 },
      { first: 20_000, count: 10 },
    ]) {
      const [word, { code, message }] = await outcomeOf(engine, { isolation: { user } });
      expect([word, code]).toEqual(['refused', 'ERR_RUNTIME_UNSUPPORTED']);
      expect(message).toContain('isolation.user');
      expect(message).toContain('start the host as root');
    }
  });

  test(`${engine}: with best effort the tenant is started, and what is missing is told`, async () => {
    const [word, found] = await outcomeOf(engine, {
      limits: { memoryBytes: 1 << 28, cpus: 0.5, openFiles: 1_000, enforce: 'best-effort' },
      isolation: { user: { uid: 1_000, gid: 1_000 }, enforce: 'best-effort' },
    });
    expect(word).toBe('started');
    expect(found.limits).toEqual({
      memoryBytes: { value: 1 << 28, by: 'none' },
      cpus: { value: 0.5, by: 'none' },
      openFiles: { value: 1_000, by: 'rlimit' },
    });
    expect(found.isolation).toMatchObject({
      user: null,
      missing: expect.arrayContaining(['user']),
    });
  });
}

bunTest('walls with a path above all tenants are refused, and it is named', async () => {
  await using tenants = new Tenants().add('app');
  const source = { kind: 'directory' as const, root: tenants.root };
  for (const option of ['read', 'write']) {
    for (const path of [tenants.root, dirname(tenants.root), '..']) {
      const create = () => createRuntime({ source, isolation: { [option]: [path] } });
      expect(create).toThrow(`isolation.${option} has ${JSON.stringify(path)}, which contains`);
      expect(create).toThrow(expect.objectContaining({ code: 'ERR_RUNTIME_UNSUPPORTED' }));
    }
  }
  const root = '/usr/share/absolute-no-such-directory';
  const create = () => createRuntime({ source: { ...source, root }, isolation: 'tenant' });
  expect(create).toThrow('every tenant may read /usr/share');
});
