/** `doctor`, whose command line is its own. */
import { runCommand } from '../doctor/command.js';
import { thisHost } from '../doctor/host.js';

/** @type {import('./commands.js').Run} */
export const run = ({ words }, io) => doctor(words, io);

/** @param {import('./terminal.js').Io} io */
export const help = (io) => doctor(['--help'], io);

/** @param {string[]} args @param {import('./terminal.js').Io} io */
function doctor(args, io) {
  const columns = io.columns();
  return runCommand(['doctor', ...args], thisHost(), {
    print: io.print,
    complain: io.complain,
    colour: io.colour,
    ...(Number.isFinite(columns) && { columns }),
  });
}
