// The arguments of `npm run demo`, and what it is: `serve` for the directory of examples.
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultPath } from '../../lib/socket-paths.js';
import { readArguments } from '../../scripts/lib/arguments.mjs';

const USAGE = `usage: npm run demo [-- --once]

  --once  tries everything by itself, tells what happened, and ends`;

export const program = 'bin/absolutejs-runtime.js';
/** Where it is if nothing else is. */
const USUAL = { port: 3_000, dashboard: 3_900, control: defaultPath(process.env) };

/** Whether the demo is to try everything by itself. */
export function isOnce() {
  return readArguments({ usage: USAGE, flags: { once: { type: 'boolean' } } }).values.once === true;
}

/**
 * The command line of the demo. What another program has, such as another demo, is not shared: it
 * takes another port, another socket, and says so.
 *
 * @param {(text: string) => void} say
 * @param {typeof USUAL} usual
 * @returns {Promise<string[]>}
 */
export async function demoCommand(say, usual = USUAL) {
  const port = await freePort(usual.port, say);
  const dashboard = await freePort(usual.dashboard, say);
  return [
    ...[program, 'serve', 'examples/tenants', '--idle', '15s', '--port', `${port}`],
    ...['--dashboard', `127.0.0.1:${dashboard}`],
    ...((await isInUse(usual.control)) ? ['--control', otherSocket()] : []),
  ];
}

/** @param {number} port @param {(text: string) => void} say @returns {Promise<number>} 0: any */
function freePort(port, say) {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => {
      say(`Port ${port} is taken by another program: using another one instead.`);
      resolve(0);
    });
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(port)));
  });
}

/** @param {string} path of a socket @returns {Promise<boolean>} */
function isInUse(path) {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

const otherSocket = () => join(tmpdir(), `absolute-runtime-demo-${process.pid}.sock`);
