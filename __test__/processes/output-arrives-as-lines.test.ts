// Tenants' output arrives as lines: complete, in order, and before the exit.
import { expect, test } from 'bun:test';
import { createPool, processOf, SERVER, until } from '../support/processes/index.ts';

/**
 * A tenant that writes these pieces, each in a write of its own, once it is asked to by SIGUSR2,
 * and then exits.
 */
const writes = (pieces: (string | number[])[], stream = 1) => `
import { writeSync } from 'node:fs';
const pieces = ${JSON.stringify(pieces)};
for (const piece of pieces) {
  writeSync(${stream}, typeof piece === 'string' ? piece : new Uint8Array(piece));
  await Bun.sleep(5);
}
${SERVER}`;

const bytes = (text: string) => [...new TextEncoder().encode(text)].map((byte) => [byte]);

const cases: Record<string, { pieces: (string | number[])[]; lines: string[] }> = {
  'CRLF and LF': {
    pieces: ['a\r\nb\n', '\r\n', '\n', 'c\rd\n'],
    lines: ['a', 'b', '', '', 'c\rd'],
  },
  'an ending split across writes': {
    pieces: ['a\r', '\nb', '\n', '\r', '\n'],
    lines: ['a', 'b', ''],
  },
  'characters split across writes': {
    pieces: bytes('grüße, 世界, 🦀!\n'),
    lines: ['grüße, 世界, 🦀!'],
  },
  'bytes that are not UTF-8': {
    pieces: [
      [0x61, 0xff, 0x62, 0xc3, 0x0a],
      [0xe4, 0xb8, 0x0a],
      [0xf0, 0x9f, 0x0a],
      [0x80, 0x0a],
      [0xc3],
      'x\n',
    ],
    lines: ['a\ufffdb\ufffd', '\ufffd', '\ufffd', '\ufffd', '\ufffdx'],
  },
  'other separators are no line ends': {
    pieces: ['a\u2028b\u0085c\vd\fe\0f\n'],
    lines: ['a\u2028b\u0085c\vd\fe\0f'],
  },
  'a byte order mark': { pieces: ['\ufeffa\n', '\ufeffb\n'], lines: ['\ufeffa', '\ufeffb'] },
};

for (const [name, { pieces, lines }] of Object.entries(cases)) {
  test(name, async () => {
    // Without `bun run`, which prints the script that it runs.
    await using pool = createPool({ command: ['bun', 'server.ts'] });
    pool.tenants
      .add('out', { 'server.ts': writes(pieces) })
      .add('err', { 'server.ts': writes(pieces, 2) });
    await Promise.all(['out', 'err'].map((key) => pool.runtime.ensure(key)));
    await pool.dispose();
    expect(pool.events.lines('out', 'stdout')).toEqual(lines);
    expect(pool.events.lines('out', 'stderr')).toEqual([]);
    expect(pool.events.lines('err', 'stderr')).toEqual(lines);
    expect(pool.events.lines('err', 'stdout')).toEqual([]);
  });
}

test('a last line without an ending, by an end of its own and by being killed', async () => {
  await using pool = createPool({ command: ['sh', '-c', '. ./start.sh'], backoff: { baseMs: 0 } });
  pool.tenants.add('ends', { 'start.sh': 'printf "one\\ntwo"; printf "err" >&2; exit 7' });
  pool.tenants.add('killed', { 'start.sh': 'printf "one\\ntwo"; exec bun server.ts' });
  const error = await pool.runtime.ensure('ends').catch((error) => error);
  expect(error.code).toBe('ERR_RUNTIME_EXITED_EARLY');
  expect(error.exitCode).toBe(7);
  await pool.runtime.ensure('killed');
  await pool.dispose();
  expect(pool.events.lines('ends', 'stdout')).toEqual(['one', 'two']);
  expect(pool.events.lines('ends', 'stderr')).toEqual(['err']);
  expect(pool.events.lines('killed', 'stdout')).toEqual(['one', 'two']);
});

test('output that is written just before the end comes before the exit', async () => {
  const LINES = 30_000;
  await using pool = createPool({ command: ['bun', 'server.ts'] });
  pool.tenants.add('talks', {
    'server.ts': `
      import { writeSync } from 'node:fs';
      Bun.serve({ port: Number(process.env.PORT), fetch: () => new Response('hello') });
      process.on('SIGUSR2', () => {
        const text = Array.from({ length: ${LINES} }, (_, index) => 'line ' + index).join('\\n');
        let rest = Buffer.from(text);
        while (rest.length > 0) rest = rest.subarray(writeSync(1, rest));
        process.exit(9);
      });`,
  });
  const tenant = await pool.runtime.ensure('talks');
  process.kill(tenant.pid, 'SIGUSR2');
  const exit = await pool.events.exit('talks');
  expect({ reason: exit.reason, exitCode: exit.exitCode }).toEqual({
    reason: 'crashed',
    exitCode: 9,
  });
  expect(pool.events.lines('talks')).toEqual(
    Array.from({ length: LINES }, (_, index) => `line ${index}`),
  );
  await pool.dispose();
});

test('output that was not read before the end comes before the exit', async () => {
  // More than is taken in while onLog is busy, so that the rest is still in the pipe when the
  // process is gone.
  const LINE = 'x'.repeat(999);
  const LINES = 610;
  let seen = 0;
  await using pool = createPool({
    command: ['bun', 'server.ts'],
    onLog({ pid }) {
      const deadline = performance.now() + 5_000;
      while (seen === 0 && processOf(pid) !== undefined && performance.now() < deadline);
      seen++;
    },
  });
  pool.tenants.add('hasty', {
    'server.ts': `
      import { writeSync } from 'node:fs';
      let rest = Buffer.from('${LINE}\\n'.repeat(${LINES}));
      while (rest.length > 0) rest = rest.subarray(writeSync(1, rest));
      process.exit(9);`,
  });
  let seenAtExit = -1;
  pool.events.once(
    (event) => 'type' in event && event.type === 'exit',
    () => (seenAtExit = seen),
  );
  await expect(pool.runtime.ensure('hasty')).rejects.toThrow('code 9');
  expect(seenAtExit).toBe(LINES);
  expect(seen).toBe(LINES);
  await pool.dispose();
});

test('output that is written during a stop comes before the exit, helpers’ included', async () => {
  await using pool = createPool({ command: ['sh', './start.sh'] });
  // Waits in small steps: a long sleep gets the signal too, and might get it first.
  const farewell = (name: string) =>
    `trap 'echo bye from ${name}; exit 0' TERM; echo ${name} is up; while :; do sleep 0.01; done`;
  pool.tenants.add('polite', {
    'start.sh': `setsid sh ./helper.sh & bun server.ts & ${farewell('the server')}`,
    'helper.sh': farewell('the helper'),
  });
  await pool.runtime.ensure('polite');
  for (const name of ['the server', 'the helper'])
    await pool.events.line('polite', `${name} is up`);
  await pool.runtime.kill('polite');
  expect(
    pool.events
      .lines('polite')
      .filter((line) => line.startsWith('bye'))
      .sort(),
  ).toEqual(['bye from the helper', 'bye from the server']);
  await pool.dispose();
});

test('an output that a process outside the tree holds open does not delay the exit', async () => {
  await using pool = createPool({ command: ['sh', '-c', 'echo pid $$; exec bun server.ts'] });
  pool.tenants.add('held');
  const tenant = await pool.runtime.ensure('held');
  const outsider = Bun.spawn(
    ['sh', '-c', `exec 9>/proc/${tenant.pid}/fd/1; echo open; exec sleep 1000`],
    {
      stdout: 'pipe',
    },
  );
  try {
    const { value } = await outsider.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe('open\n');
    await pool.runtime.kill('held');
    expect(pool.events.of('exit', 'held').length).toBe(1);
    expect(pool.events.lines('held')).toContain(`pid ${tenant.pid}`);
  } finally {
    outsider.kill('SIGKILL');
    await outsider.exited;
  }
  await pool.dispose();
});

test('lines of many tenants are not mixed up', async () => {
  const keys = Array.from({ length: 6 }, (_, index) => `tenant-${index}`);
  await using pool = createPool({
    command: [
      'sh',
      '-c',
      'i=0; while [ $i -lt 500 ]; do echo "$PWD $i"; i=$((i+1)); done; exec bun server.ts',
    ],
  });
  keys.forEach((key) => pool.tenants.add(key));
  await Promise.all(keys.map((key) => pool.runtime.ensure(key)));
  for (const key of keys) {
    const expected = Array.from(
      { length: 500 },
      (_, index) => `${pool.tenants.root}/${key} ${index}`,
    );
    await until(`all of ${key}`, () => pool.events.lines(key).length === 500);
    expect(pool.events.lines(key)).toEqual(expected);
  }
  await pool.dispose();
});
