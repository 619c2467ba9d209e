// What Bun itself offers to servers works within walls.
import { runsWithinWalls } from '../../support/walls/frameworks.ts';

const serving = (work: string, imports = '') => `
${imports}
Bun.serve({
  port: process.env.PORT,
  routes: { '/': new Response('hello') },
  async fetch(request) {
    ${work}
  },
});
`;

await runsWithinWalls({
  name: 'Bun.serve',
  files: { 'server.ts': serving(`return new Response('by fetch')`) },
  asks: { '/': 'hello', '/other': 'by fetch' },
});

await runsWithinWalls({
  name: 'bun run start',
  command: ['bun', 'run', 'start'],
  files: {
    'package.json': '{"scripts":{"start":"NAME=script bun server.ts"}}',
    'server.ts': serving('return new Response(process.env.NAME)'),
  },
  asks: { '/name': 'script' },
});

await runsWithinWalls({
  name: 'a server of Node',
  command: ['node', 'server.mjs'],
  files: {
    'server.mjs': `
      import { createServer } from 'node:http';
      createServer((_, response) => response.end('hello from ' + process.version))
        .listen(process.env.PORT);`,
  },
  asks: { '/': 'hello from v' },
});

await runsWithinWalls({
  name: 'bun:sqlite with a file',
  files: {
    'server.ts': serving(
      `return Response.json(database.query('select count(*) as n, ? as path from t').get(request.url))`,
      `import { Database } from 'bun:sqlite';
       const database = new Database('data.sqlite', { create: true });
       database.exec('pragma journal_mode = WAL; create table t (x); insert into t values (1), (2)');`,
    ),
  },
  asks: { '/count': '"n":2' },
});

await runsWithinWalls({
  name: 'a Worker',
  files: {
    'worker.ts': `self.onmessage = ({ data }) => self.postMessage('worker has ' + data)`,
    'server.ts': serving(`
      const worker = new Worker(new URL('worker.ts', import.meta.url).href);
      const answer = await new Promise((resolve) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.postMessage('a message');
      });
      worker.terminate();
      return new Response(answer);`),
  },
  asks: { '/work': 'worker has a message' },
});

await runsWithinWalls({
  name: 'bun:ffi',
  files: {
    'server.ts': serving(
      'return new Response(String(libc.symbols.getpid() === process.pid) + twice.symbols.twice(21))',
      `import { cc, dlopen } from 'bun:ffi';
       import source from './twice.c' with { type: 'file' };
       const libc = dlopen('libc.so.6', { getpid: { args: [], returns: 'i32' } });
       const twice = cc({ source, symbols: { twice: { args: ['i32'], returns: 'i32' } } });`,
    ),
    'twice.c': 'int twice(int x) { return 2 * x; }',
  },
  asks: { '/call': 'true42' },
});

await runsWithinWalls({
  name: 'Bun.$',
  files: {
    'server.ts': serving(
      `return new Response(await $\`echo one two | tr ' ' '\\n' | wc -l; ls server.ts\`.text())`,
      `import { $ } from 'bun';`,
    ),
  },
  asks: { '/shell': /^\s*2\nserver\.ts\n$/ },
});

await runsWithinWalls({
  name: 'child processes',
  files: {
    'child.ts': `process.on('message', (text) => process.send('child has ' + text))`,
    'server.ts': serving(
      `
      const child = fork('./child.ts');
      child.send('a message');
      const [answer] = await once(child, 'message');
      child.kill();
      const plain = Bun.spawn(['sh', '-c', 'cat; exit 3'], { stdin: new Blob(['piped']) });
      const sync = Bun.spawnSync([process.execPath, '--version']).stdout.toString().trim();
      const parts = [answer, await plain.stdout.text(), await plain.exited, sync === Bun.version];
      return new Response(parts.join(' '));`,
      `import { fork } from 'node:child_process';
       import { once } from 'node:events';`,
    ),
  },
  asks: { '/child': 'child has a message piped 3 true' },
});

await runsWithinWalls({
  name: 'fs.watch',
  files: {
    'server.ts': serving(
      `
      const name = await new Promise((resolve) => {
        const watcher = watch('watched', (_, name) => { watcher.close(); resolve(name); });
        writeFileSync('watched/new-file', '');
      });
      return new Response(name);`,
      `import { mkdirSync, watch, writeFileSync } from 'node:fs';
       mkdirSync('watched', { recursive: true });`,
    ),
  },
  asks: { '/watch': 'new-file' },
});

await runsWithinWalls({
  name: 'a temporary file',
  files: {
    'server.ts': serving(
      `
      const directory = mkdtempSync(join(tmpdir(), 'mine-'));
      await Bun.write(join(directory, 'file'), 'kept for a while');
      return new Response(await Bun.file(join(directory, 'file')).text());`,
      `import { mkdtempSync } from 'node:fs';
       import { tmpdir } from 'node:os';
       import { join } from 'node:path';`,
    ),
  },
  asks: { '/file': 'kept for a while' },
});

await runsWithinWalls({
  name: 'WebSockets, compression, hashes, passwords, names and wasm',
  files: {
    'server.ts': `
      import { lookup } from 'node:dns/promises';
      import { cpus, networkInterfaces } from 'node:os';
      const WASM = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
      const server = Bun.serve({
        port: process.env.PORT,
        async fetch(request, server) {
          if (server.upgrade(request)) return;
          if (!request.url.endsWith('/all')) return new Response('hello');
          const echo = await new Promise((resolve) => {
            const socket = new WebSocket('ws://127.0.0.1:' + process.env.PORT);
            socket.onopen = () => socket.send('echo');
            socket.onmessage = ({ data }) => resolve(data);
          });
          return Response.json({
            echo,
            zip: new TextDecoder().decode(Bun.gunzipSync(Bun.gzipSync('zip'))),
            hash: await Bun.password.verify('x', await Bun.password.hash('x', 'bcrypt')),
            name: (await lookup('localhost')).address.length > 2,
            cores: cpus().length > 0,
            interfaces: Object.keys(networkInterfaces()).length > 0,
            wasm: (await WebAssembly.instantiate(WASM)).instance !== undefined,
          });
        },
        websocket: { message: (socket, message) => void socket.send(message) },
      });`,
  },
  asks: {
    '/all':
      '{"echo":"echo","zip":"zip","hash":true,"name":true,"cores":true,"interfaces":true,"wasm":true}',
  },
});
