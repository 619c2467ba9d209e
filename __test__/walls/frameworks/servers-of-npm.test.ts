// Server frameworks run within walls as they are.
import { runsWithinWalls } from '../../support/walls/frameworks.ts';

await runsWithinWalls({
  name: 'express',
  packages: { express: '5.3.0' },
  files: {
    'server.ts': `
      import express from 'express';
      const app = express();
      app.use('/files', express.static('public'));
      app.get('/', (_, response) => response.send('hello from express'));
      app.listen(Number(process.env.PORT));`,
    'public/file.txt': 'a file',
  },
  asks: { '/': 'hello from express', '/files/file.txt': 'a file' },
});

await runsWithinWalls({
  name: 'hono',
  packages: { hono: '4.13.19' },
  files: {
    'server.ts': `
      import { Hono } from 'hono';
      import { serveStatic } from 'hono/bun';
      const app = new Hono();
      app.get('/', (context) => context.text('hello from hono'));
      app.use('/public/*', serveStatic({ root: './' }));
      export default { port: process.env.PORT, fetch: app.fetch };`,
    'public/file.txt': 'a file',
  },
  asks: { '/': 'hello from hono', '/public/file.txt': 'a file' },
});

await runsWithinWalls({
  name: 'elysia',
  packages: { elysia: '1.4.30' },
  files: {
    'server.ts': `
      import { Elysia, t } from 'elysia';
      new Elysia()
        .get('/', () => 'hello from elysia')
        .get('/id/:id', ({ params }) => params.id * 2, { params: t.Object({ id: t.Numeric() }) })
        .listen(Number(process.env.PORT));`,
  },
  asks: { '/': 'hello from elysia', '/id/21': '42' },
});

await runsWithinWalls({
  name: 'fastify',
  packages: { fastify: '5.12.8' },
  files: {
    'server.ts': `
      import fastify from 'fastify';
      const app = fastify({ logger: true });
      app.get('/', async () => ({ hello: 'from fastify' }));
      await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });`,
  },
  asks: { '/': '{"hello":"from fastify"}' },
});
