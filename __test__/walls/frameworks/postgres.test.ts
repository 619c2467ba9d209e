// `Bun.sql` reaches a PostgreSQL server of this machine from within walls.
import { test } from 'bun:test';
import { postgresPrograms, startPostgres } from '../../support/databases.ts';
import { runsWithinWalls } from '../../support/walls/frameworks.ts';

const bin = postgresPrograms();
if (bin === undefined) {
  test.skip('Bun.sql (there is no PostgreSQL server on this machine)', () => {});
} else {
  const port = await startPostgres(bin);
  await runsWithinWalls({
    name: 'Bun.sql with a local server',
    env: { DATABASE_URL: `postgres://app@127.0.0.1:${port}/postgres` },
    files: {
      'server.ts': `
        import { sql } from 'bun';
        Bun.serve({
          port: process.env.PORT,
          async fetch() {
            const [row] = await sql\`select 40 + \${2}::int as sum, version() as version\`;
            return Response.json(row);
          },
        });`,
    },
    asks: { '/': /"sum":42,"version":"PostgreSQL/ },
  });
}
