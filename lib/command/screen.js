/** The whole terminal for as long as a command runs, given back on every way out. */
import { writeSync } from 'node:fs';
import { constants } from 'node:os';

// The alternate screen without a cursor; what is drawn between the last two appears at once.
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?2026l\x1b[?25h\x1b[?1049l';
const BEGIN_FRAME = '\x1b[?2026h\x1b[H';
const END_FRAME = '\x1b[J\x1b[?2026l';
const CLEAR_LINE = '\x1b[K';

const KEY = /\x1b\[[\d;]*[A-Za-z~]|\x1bO[A-Za-z]|[^]/gu;
/** @type {Record<string, string>} */
const NAMES = {
  '\x03': '^C',
  '\x1b': 'escape',
  '\r': 'enter',
  '\n': 'enter',
  '\x7f': 'backspace',
  '\b': 'backspace',
  '\x1b[A': 'up',
  '\x1bOA': 'up',
  '\x1b[B': 'down',
  '\x1bOB': 'down',
  '\x1b[5~': 'page-up',
  '\x1b[6~': 'page-down',
  '\x1b[H': 'home',
  '\x1bOH': 'home',
  '\x1b[1~': 'home',
  '\x1b[F': 'end',
  '\x1bOF': 'end',
  '\x1b[4~': 'end',
};

/**
 * @param {import('./terminal.js').Io} io
 * @param {{ onKey: (key: string) => void, onResize: () => void }} hooks
 */
export function takeScreen({ stdout, stdin }, { onKey, onResize }) {
  let isTaken = true;
  const giveBack = () => {
    if (!isTaken) return;
    isTaken = false;
    if (stdin.isTTY) stdin.setRawMode(false);
    // Not by the stream: nothing of it may be written when the process ends.
    tryWrite(LEAVE);
  };
  process.on('exit', giveBack);
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]));
  }
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stdin.on('data', (/** @type {string} */ text) => {
    for (const [key] of text.matchAll(KEY)) onKey(NAMES[key] ?? key);
  });
  stdin.on('error', () => {});
  stdout.on('resize', onResize);
  tryWrite(ENTER);
  return {
    giveBack,
    /** @param {readonly string[]} lines no wider than the terminal */
    draw: (lines) => {
      const text = lines.map((line) => line + CLEAR_LINE).join('\r\n');
      stdout.write(BEGIN_FRAME + text + END_FRAME);
    },
  };
}

/** @param {string} text */
function tryWrite(text) {
  try {
    writeSync(1, text);
  } catch {
    // The terminal is gone, or full: there is nothing to give back, or the exit goes on.
  }
}
