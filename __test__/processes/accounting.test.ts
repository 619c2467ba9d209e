// Observations: the CPU time of a tenant's whole tree, ended children included, and its memory.
import { expect, test } from 'bun:test';
import { readProcessTreeStats } from '@absolutejs/runtime';
import { createPool, SERVER, threadsOf, until, within } from '../support/processes/index.ts';

/** Uses this much CPU time, and prints how much it has used in all. */
const burner = (ms: number) => `
const used = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };
while (used() < ${ms});
console.log('burnt ' + used());`;

const burntIn = (lines: string[]) =>
  lines
    .filter((line) => line.startsWith('burnt '))
    .reduce((sum, line) => sum + Number(line.slice(6)), 0);

test('cpuMs covers the tree, ended children included, never falls, and closes the account before the exit', async () => {
  await using pool = createPool({ observeIntervalMs: 20, command: ['sh', './start.sh'] });
  pool.tenants.add('busy', {
    // Processes one after another, in parallel, in a session of their own, and orphaned.
    'start.sh': `
      bun burn.ts
      (setsid sh -c 'bun burn.ts; sleep 1000' &)
      bun burn.ts & bun burn.ts & wait
      echo all burnt
      exec bun server.ts`,
    'burn.ts': burner(250),
  });
  await pool.runtime.ensure('busy');
  const burnt = await until('all have burnt', () => {
    const lines = pool.events.lines('busy');
    return lines.filter((line) => line.startsWith('burnt ')).length === 4 && burntIn(lines);
  });
  expect(burnt).toBeGreaterThanOrEqual(1000);
  // The next observation was made after all of that.
  const seen = pool.events.observations('busy').length;
  await until('two more observations', () => pool.events.observations('busy').length >= seen + 2);
  await pool.runtime.kill('busy');

  const observations = pool.events.observations('busy');
  const cpuMs = observations.map((observation) => observation.cpuMs);
  expect(cpuMs).toEqual(cpuMs.toSorted((a, b) => a - b));
  expect(observations.map(({ at }) => at)).toEqual(
    observations.map(({ at }) => at).toSorted((a, b) => a - b),
  );
  // Within the kernel's resolution, and without the CPU time of starting and ending the processes.
  expect(cpuMs.at(seen + 1)).toBeGreaterThan(burnt * 0.9);
  expect(cpuMs.at(-1)).toBeGreaterThan(burnt * 0.98);
  expect(cpuMs.at(-1)).toBeLessThan(burnt + 1_000);
  const [last] = pool.events.told.slice(-2);
  expect(last?.event).toMatchObject({ type: 'observation', cpuMs: cpuMs.at(-1) });
  expect(pool.events.told.at(-1)?.event).toMatchObject({ type: 'exit', key: 'busy' });
  await pool.dispose();
});

test('a tenant that ends before its first regular observation has an exact last one', async () => {
  await using pool = createPool({ observeIntervalMs: 600_000, command: ['sh', './start.sh'] });
  pool.tenants.add('brief', {
    'start.sh': 'bun burn.ts; bun burn.ts; exit 3',
    'burn.ts': burner(150),
  });
  const error = await pool.runtime.ensure('brief').catch((error) => error);
  expect(error.code).toBe('ERR_RUNTIME_EXITED_EARLY');
  const burnt = burntIn(pool.events.lines('brief'));
  const observations = pool.events.observations('brief');
  expect(observations.length).toBe(1);
  expect(observations[0]?.cpuMs).toBeGreaterThan(burnt * 0.98);
  expect(observations[0]?.cpuMs).toBeLessThan(burnt + 500);
  await pool.dispose();
});

test('cpuMs does not fall when children are not waited for', async () => {
  await using pool = createPool({ observeIntervalMs: 10, command: ['sh', './start.sh'] });
  // The CPU time of children is not added to a parent that ignores SIGCHLD.
  pool.tenants.add('careless', {
    'start.sh': `trap '' CHLD; bun burn.ts & bun burn.ts & exec bun server.ts`,
    'burn.ts': burner(200),
  });
  await pool.runtime.ensure('careless');
  await until(
    'all have burnt',
    () => pool.events.lines('careless').filter((line) => line.startsWith('burnt ')).length === 2,
  );
  const seen = pool.events.observations('careless').length;
  await until('more observations', () => pool.events.observations('careless').length >= seen + 3);
  await pool.dispose();
  const cpuMs = pool.events.observations('careless').map((observation) => observation.cpuMs);
  expect(cpuMs).toEqual(cpuMs.toSorted((a, b) => a - b));
  expect(Math.max(...cpuMs)).toBeGreaterThan(200);
});

test('rssBytes is the memory of the whole tree now', async () => {
  const MB = 1 << 20;
  await using pool = createPool({ observeIntervalMs: 20 });
  const holds = (mb: number) => `globalThis.kept = Buffer.alloc(${mb * MB}, 1);`;
  pool.tenants.add('large', {
    'server.ts': `${holds(80)} Bun.spawn(['bun', 'helper.ts'], { stdout: 'inherit' }); ${SERVER}`,
    'helper.ts': `${holds(120)} console.log('helper holds it'); setInterval(() => {}, 1000);`,
  });
  pool.tenants.add('small');
  await Promise.all(['large', 'small'].map((key) => pool.runtime.ensure(key)));
  await until('the helper prints', () => pool.events.lines('large').includes('helper holds it'));
  const seen = pool.events.observations('large').length;
  await until('two more observations', () => pool.events.observations('large').length >= seen + 2);
  const now = (key: string) => (pool.events.observations(key).at(-1)?.rssBytes ?? 0) / MB;
  expect(now('large')).toBeGreaterThan(200);
  expect(now('large')).toBeLessThan(600);
  expect(now('small')).toBeGreaterThan(10);
  expect(now('small')).toBeLessThan(200);
  await pool.dispose();
});

test('no observations unless they are asked for', async () => {
  await using pool = createPool({ observeIntervalMs: 0 });
  pool.tenants.add('app');
  await pool.runtime.ensure('app');
  await pool.dispose();
  expect(pool.events.observations()).toEqual([]);
});

test('the tree of any pid can be read without a runtime, and that of none is null', async () => {
  await using pool = createPool();
  pool.tenants.add('a');
  const { pid } = await pool.runtime.ensure('a');
  const [wrapper, server] = [
    await readProcessTreeStats(pid),
    await readProcessTreeStats(process.pid),
  ];
  expect(Object.keys(wrapper ?? {})).toEqual(['cpuMs', 'rssBytes', 'processes']);
  expect(wrapper?.processes).toBeGreaterThanOrEqual(1);
  expect(wrapper?.rssBytes).toBeGreaterThan(1_000_000);
  expect(server?.processes).toBeGreaterThan(0);
  await pool.runtime.kill('a');
  expect(await readProcessTreeStats(pid)).toBeNull();
  for (const none of [0, -1, 1.5, NaN, Infinity, 2 ** 31, '1', null] as number[]) {
    expect(await readProcessTreeStats(none)).toBeNull();
  }
});

test('many concurrent calls of readProcessTreeStats share a thread', async () => {
  const pids = [process.pid, process.ppid, 2 ** 30];
  const asked = Array.from({ length: 600 }, (_, index) =>
    readProcessTreeStats(pids[index % 3] ?? 0),
  );
  expect(threadsOf('self').filter((name) => name === 'abs-tree').length).toBeLessThanOrEqual(1);
  const answers = await within('all answers', Promise.all(asked));
  expect(answers[0]?.processes).toBeGreaterThanOrEqual(1);
  expect(answers.filter((answer) => answer === null)).toHaveLength(200);
  answers.forEach((answer, index) => expect(answer === null).toBe(index % 3 === 2));
  expect(await readProcessTreeStats(process.pid)).not.toBeNull();
});
