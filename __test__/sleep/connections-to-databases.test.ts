// Apps with a pool of connections to a real PostgreSQL and a real Redis sleep, for a second and for
// longer than the server lets a silent connection be, and answer when they are asked again. With
// `outgoing: "stay"` they do not sleep. SLEEP_LONG=1 also sleeps for more than a minute, in which
// those that breathe have breathed.
import { SQL } from 'bun';
import { expect, test } from 'bun:test';
import type { RuntimeSleep } from '@absolutejs/runtime';
import { postgresPrograms, redisProgram, startPostgres, startRedis } from '../support/databases.ts';
import { ask, asleep, createSleepyPool } from '../support/sleep/pool.ts';

/** The server ends connections that are silent for so long. */
const SERVER_TIMEOUT_S = 3;
const isLong = process.env.SLEEP_LONG === '1';

/** Each request is one of many at once, so that the pool has several connections. */
const WITH_POSTGRES = `
import { SQL } from 'bun';
const sql = new SQL({ url: process.env.DATABASE_URL, max: 4 });
const count = async () => {
  const all = await Promise.all([1, 2, 3, 4].map((n) => sql\`select \${n}::int as n, pg_sleep(0.02)\`));
  return all.map(([{ n }]) => n).join();
};
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  fetch: async () => new Response(await count().catch((error) => 'failed: ' + error.message)),
});`;

const WITH_REDIS = `
import { RedisClient } from 'bun';
const redis = new RedisClient(process.env.DATABASE_URL);
const count = async () => {
  await redis.set('n', '41');
  return String(await redis.incr('n'));
};
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  fetch: async () => new Response(await count().catch((error) => 'failed: ' + error.message)),
});`;

type Database = {
  name: string;
  server: string;
  answer: string;
  /** Of a server that lets connections be, and of one that ends silent ones. */
  urls: { patient: string; impatient: string };
};

async function postgres(bin: string): Promise<Database> {
  const address = `127.0.0.1:${await startPostgres(bin)}/postgres`;
  const sql = new SQL({ url: `postgres://app@${address}`, max: 1 });
  await sql.unsafe('create role impatient login');
  await sql.unsafe(`alter role impatient set idle_session_timeout = '${SERVER_TIMEOUT_S}s'`);
  await sql.close();
  const urls = {
    patient: `postgres://app@${address}`,
    impatient: `postgres://impatient@${address}`,
  };
  return { name: 'Bun.SQL', server: WITH_POSTGRES, answer: '1,2,3,4', urls };
}

async function redis(program: string): Promise<Database> {
  const urlOf = async (...more: string[]) => `redis://127.0.0.1:${await startRedis(program, more)}`;
  const urls = {
    patient: await urlOf(),
    impatient: await urlOf('--timeout', `${SERVER_TIMEOUT_S}`),
  };
  return { name: 'RedisClient', server: WITH_REDIS, answer: '42', urls };
}

const [bin, program] = [postgresPrograms(), redisProgram()];
if (bin === undefined) test.skip('PostgreSQL (is not on this machine)', () => {});
else theyAreSlept(await postgres(bin));
if (program === undefined) test.skip('Redis (is not on this machine)', () => {});
else theyAreSlept(await redis(program));

function theyAreSlept({ name, server, answer, urls }: Database): void {
  const start = async (url: string, outgoing: RuntimeSleep['outgoing']) => {
    const env = { PATH: process.env.PATH, DATABASE_URL: url };
    const pool = createSleepyPool({ env, sleep: { outgoing } });
    pool.tenants.add('app', { 'server.ts': server });
    const tenant = await pool.runtime.ensure('app');
    expect(await ask(tenant)).toBe(answer);
    return { pool, tenant };
  };

  for (const outgoing of ['sleep', 'breathe'] as const) {
    test.each(isLong ? [1_000, 70_000] : [1_000])(
      `${name}, outgoing "${outgoing}": after %d ms of sleep the first answer is right`,
      async (ms) => {
        const { pool, tenant } = await start(urls.patient, outgoing);
        await using _ = pool;
        await asleep(pool, 'app');
        await Bun.sleep(ms);
        expect(pool.events.of('sleep', 'app')).toHaveLength(1);
        expect(await pool.runtime.ensure('app')).toBe(tenant);
        expect(await ask(tenant)).toBe(answer);
        await pool.dispose();
      },
    );

    test(`${name}, outgoing "${outgoing}": a server that hangs up meanwhile costs one answer at most`, async () => {
      const { pool, tenant } = await start(urls.impatient, outgoing);
      await using _ = pool;
      await asleep(pool, 'app');
      await Bun.sleep(1_500 * SERVER_TIMEOUT_S);
      expect(await pool.runtime.ensure('app')).toBe(tenant);
      const first = await ask(tenant);
      if (first !== answer) expect(first).toStartWith('failed: ');
      expect(await ask(tenant)).toBe(answer);
      await pool.dispose();
    });
  }

  test(`${name}, outgoing "stay": it sleeps only when the server has hung up`, async () => {
    const connected = await start(urls.patient, 'stay');
    await using patient = connected.pool;
    const { pool } = await start(urls.impatient, 'stay');
    await using _ = pool;
    await asleep(pool, 'app');
    expect(patient.events.of('sleep')).toEqual([]);
    expect(patient.runtime.inspect('app')?.state).toBe('ready');
    await pool.dispose();
    await patient.dispose();
  });
}
