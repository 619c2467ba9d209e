// The error of a failed start ends with the process's last lines, those of stderr among them.
import { expect, test } from 'bun:test';
import { createPool } from '../support/processes/index.ts';

/** Writes a line to one stream, then much to the other. */
const START = `
import { writeSync } from 'node:fs';
const [first, second] = process.env.WHY === 'stdout' ? [1, 2] : [2, 1];
writeSync(first, 'FATAL: DATABASE_URL is missing\\n');
const noise = Buffer.from(Array.from({ length: 20_000 }, (_, index) => 'line ' + index + '\\n').join(''));
for (let rest = noise; rest.length > 0; ) rest = rest.subarray(writeSync(second, rest));
process.exit(9);
`;

for (const why of ['stderr', 'stdout']) {
  test(`the last line of ${why} is in the error, however much the other stream wrote after it`, async () => {
    await using pool = createPool({ command: ['bun', 'start.ts'], env: { WHY: why } });
    pool.tenants.add('app', { 'start.ts': START });
    const error = await pool.runtime.ensure('app').catch((error) => error);
    expect(error.code).toBe('ERR_RUNTIME_EXITED_EARLY');
    const [, ...lines] = error.message.split('\n');
    expect(lines).toHaveLength(20);
    expect(lines).toContain('FATAL: DATABASE_URL is missing');
    expect(lines.at(-1)).toBe('line 19999');
    await pool.dispose();
  });
}

test('a program that cannot be found without a PATH is told with that, and what to do', async () => {
  const reasonWith = async (env: Record<string, string>) => {
    await using pool = createPool({ command: ['no-such-program'], env });
    pool.tenants.add('app');
    const { code, message } = await pool.runtime.ensure('app').catch((error) => error);
    expect(code).toBe('ERR_RUNTIME_SPAWN');
    await pool.dispose();
    return message as string;
  };
  // A host that is Bun gives such a tenant its own directory, which is no PATH that it was given.
  expect(await reasonWith({ A: '1' })).toContain(
    'the program "no-such-program" was not found, and its environment has no PATH (No such file or ' +
      "directory (os error 2)): let the option `env` give it one, such as the host's",
  );
  expect(await reasonWith({ PATH: '/bin' })).toContain(
    'the program "no-such-program" was not found on the tenant\'s PATH',
  );
});
