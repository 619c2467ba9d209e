// A tenant that starts slowly: requests wait until it listens.
const START_MS = 3_000;

console.log(`warming up for ${START_MS / 1000} s …`);
await Bun.sleep(START_MS);
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  fetch: () => new Response(`Worth the wait: process ${process.pid} is up.\n`),
});
console.log(`slow listens on port ${server.port}`);

export {};
