#!/usr/bin/env node
import { main } from '../lib/command/main.js';
import { endAsAsked, exit, thisTerminal } from '../lib/command/terminal.js';

const becomeHost = endAsAsked();
const args = process.argv.slice(2);
process.exitCode = await main(args, { ...thisTerminal(), becomeHost });
// What a config file has opened, or waits for, keeps no host that has not been started.
if (args[0] === 'serve' && process.exitCode !== 0) exit();
