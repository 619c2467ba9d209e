// Programs of the test bed that run on its machines, and lines that they print.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Programs that have not ended yet. @type {Set<Program>} */
const running = new Set();

/** A program whose output is one JSON object in each line. */
export class Program {
  /** Everything that it has told. @type {any[]} */
  told = [];
  /** The end of what it wrote to stderr. */
  complaints = '';
  #listeners = new Set();

  /**
   * @param {string[]} command
   * @param {Record<string, string | undefined>} [env]
   */
  constructor(command, env = {}) {
    const [program = '', ...args] = command;
    this.process = spawn(program, args, { env: { ...process.env, ...env }, stdio: 'pipe' });
    running.add(this);
    this.ended = new Promise((resolve) => {
      this.process.on('close', (code, signal) => {
        running.delete(this);
        resolve({ code, signal });
        this.#tell(undefined);
      });
    });
    this.process.stderr.on('data', (piece) => {
      this.complaints = (this.complaints + piece).slice(-20_000);
    });
    this.process.stdin.on('error', () => {});
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      if (!line.startsWith('{')) return;
      const told = JSON.parse(line);
      this.told.push(told);
      this.#tell(told);
    });
  }

  /** @param {string} line */
  say(line) {
    this.process.stdin.write(`${line}\n`);
  }

  /** @param {NodeJS.Signals} name */
  signal(name) {
    this.process.kill(name);
  }

  /**
   * Says a line to a host, and waits for what is answered to it.
   *
   * @param {string} order
   */
  async order(order) {
    const from = this.told.length;
    this.say(order);
    const [word] = order.split(' ');
    const answer = await this.until((told) => told.order === word, from);
    if (answer.kind === 'failed') throw new Error(`${order}: ${answer.message}`);
    return answer.result;
  }

  /**
   * Waits for the next line, or one before, that fits.
   *
   * @param {(told: any) => boolean} fits
   * @param {number} [from] lines before this one do not count
   */
  async until(fits, from = 0) {
    const before = this.told.slice(from).find(fits);
    if (before !== undefined) return before;
    return new Promise((resolve, reject) => {
      const listener = (/** @type {any} */ told) => {
        if (told !== undefined && !fits(told)) return;
        this.#listeners.delete(listener);
        if (told === undefined) reject(new Error(`the program has ended: ${this.complaints}`));
        else resolve(told);
      };
      this.#listeners.add(listener);
      if (!running.has(this)) listener(undefined);
    });
  }

  /** Waits for one more line. */
  async more() {
    const count = this.told.length;
    await this.until(() => this.told.length > count);
  }

  /** @param {any} told */
  #tell(told) {
    for (const listener of [...this.#listeners]) listener(told);
  }
}

/** Kills all that still runs, and waits for their ends. */
export async function killAll() {
  const all = [...running];
  for (const program of all) program.signal('SIGKILL');
  await Promise.all(all.map(({ ended }) => ended));
}
