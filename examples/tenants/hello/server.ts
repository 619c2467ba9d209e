// A tenant is an ordinary server that listens on PORT.
const STREAM_PAUSE_MS = 200;
const STREAM_PARTS = 5;

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  routes: {
    '/': (request) => html(page(request.headers.get('x-forwarded-host') ?? 'nobody in particular')),
    '/stream': () => new Response(countSlowly(), { headers: { 'content-type': 'text/plain' } }),
    '/echo': { POST: (request) => new Response(request.body) },
  },
});
console.log(`hello listens on port ${server.port}`);

async function* countSlowly() {
  const encoder = new TextEncoder();
  for (let part = 1; part <= STREAM_PARTS; part++) {
    yield encoder.encode(`part ${part} of ${STREAM_PARTS}\n`);
    await Bun.sleep(STREAM_PAUSE_MS);
  }
}

function html(body: string): Response {
  return new Response(body, { headers: { 'content-type': 'text/html; charset=utf-8' } });
}

function page(host: string): string {
  console.log(`greeting ${host}`);
  return `<!doctype html>
<meta name="viewport" content="width=device-width">
<title>hello</title>
<body style="font: 18px/1.5 system-ui; max-width: 34rem; margin: 3rem auto; padding: 0 1rem">
<h1>Hello, ${Bun.escapeHTML(host)}</h1>
<p>Process ${process.pid} answers on port ${server.port}, for ${process.uptime().toFixed(1)} s so far.</p>
<p>Leave it alone for a while and it is stopped; come back and it is started again.</p>
<p><a href="/stream">A response that takes a second</a></p>`;
}
