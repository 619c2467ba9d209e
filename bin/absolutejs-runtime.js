#!/usr/bin/env node
import { runCommand } from '../lib/doctor/command.js';
import { thisHost } from '../lib/doctor/host.js';

const { stdout } = process;
process.exitCode = await runCommand(process.argv.slice(2), thisHost(), {
  print: (text) => console.log(text),
  complain: (text) => console.error(text),
  colour: stdout.isTTY === true && !process.env.NO_COLOR,
  columns: stdout.columns,
});
