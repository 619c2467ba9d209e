Bun.serve({ port: process.env.PORT, fetch: () => new Response('hello from a tenant') });
