#!/usr/bin/env node
import { main } from '../lib/command/main.js';
import { endAsAsked, thisTerminal } from '../lib/command/terminal.js';

const becomeHost = endAsAsked();
process.exitCode = await main(process.argv.slice(2), { ...thisTerminal(), becomeHost });
