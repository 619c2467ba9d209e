// Listens at a port of 127.0.0.1, and becomes a program that gets the socket as systemd hands it
// over. Prints `port: N` first.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`port: ${port}`);
  const { fd } = /** @type {any} */ (server)._handle;
  const script = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"';
  const child = spawn('bash', ['-c', script, 'bash', ...process.argv.slice(2)], {
    stdio: ['ignore', 'inherit', 'inherit', fd],
  });
  // The child has the socket; connections are no longer taken here.
  server.close();
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code) => process.exit(code ?? 1));
});
