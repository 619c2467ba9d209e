/** A program of the document's: started, waited for, stopped, and nothing left of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { get } from 'node:http';
import { markedWith, shown, until, within } from '../processes/index.ts';
import type { Answer, Ending } from './blocks.ts';
import { binDirectory, checkout } from './project.ts';

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

interface Options {
  cwd: string;
  /**
   * A text that all processes of the program have in their environment, arguments or working
   * directory.
   */
  mark: string;
  patienceMs: number;
  /** Added to the environment; what is undefined is taken away. */
  env?: NodeJS.ProcessEnv;
  /** What it has started goes on after its end, and is asked then, too. */
  stays?: boolean;
}

export class Program implements AsyncDisposable {
  output = '';
  #child: ChildProcess;
  #ended: Promise<Ended>;
  #hasEnded = false;
  #options: Options;

  constructor([command = '', ...args]: string[], options: Options) {
    const { cwd, mark, env: added } = options;
    const PATH = `${binDirectory}:${process.env.PATH}`;
    const env = {
      ...process.env,
      PATH,
      CHECKOUT: checkout,
      README_PROJECT: mark,
      NO_COLOR: '1',
      ...added,
    };
    // A group of its own, so that all of it can be ended.
    this.#child = spawn(command, args, {
      cwd,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#options = options;
    this.#child.stdout?.on('data', (data) => (this.output += data));
    this.#child.stderr?.on('data', (data) => (this.output += data));
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => {
        this.#hasEnded = true;
        resolve({ code, signal });
      });
    });
    this.#ended.catch(() => {});
  }

  /** Waits until all of it has been printed, and every request has been answered. */
  async hasSaid(prints: readonly string[], answers: readonly Answer[]): Promise<void> {
    for (const text of prints) {
      await this.#comesTrue(`it prints "${text}"`, () => this.output.includes(text));
    }
    for (const { url, text } of answers) await this.#answers(url, text);
  }

  ended(): Promise<Ended> {
    return within('the program ends', this.#ended, this.#options.patienceMs).catch((error) =>
      this.#fail(error),
    );
  }

  stop(signal: NodeJS.Signals): Promise<Ended> {
    this.#child.kill(signal);
    return this.ended();
  }

  async leftNothing(patienceMs: number): Promise<void> {
    const isGone = () => markedWith(this.#options.mark).length === 0;
    await until('nothing is left of it', isGone, patienceMs).catch((error) =>
      this.#fail(new Error(`${error.message}; left: ${shown(markedWith(this.#options.mark))}`)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { pid } = this.#child;
    if (pid === undefined) return;
    if (!this.#hasEnded) process.kill(-pid, 'SIGKILL');
    if (!this.#options.stays) killMarked(this.#options.mark);
    await this.#ended;
  }

  async #answers(url: string, text: string): Promise<void> {
    let answer: string | undefined;
    let asking = false;
    await this.#comesTrue(`${url} answers "${text}"`, () => {
      if (answer?.includes(text)) return true;
      if (!asking) {
        asking = true;
        void ask(url).then((body) => {
          answer = body;
          asking = false;
        });
      }
      return false;
    });
  }

  #comesTrue(what: string, look: () => boolean): Promise<true> {
    const lookAtLiving = () => {
      if (look()) return true;
      if (this.#hasEnded && !this.#options.stays) throw new Error(`it has ended before ${what}`);
      return false as const;
    };
    return until(what, lookAtLiving, this.#options.patienceMs).catch((error) =>
      this.#fail(error),
    ) as Promise<true>;
  }

  #fail(error: Error): never {
    throw new Error(`${error.message}; its output:\n${this.output}`);
  }
}

export function killMarked(mark: string): void {
  for (const { pid } of markedWith(mark)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
}

export function assertEndedAsSaid(expected: Ending, { code, signal }: Ended, output: string): void {
  const isAsSaid =
    'exitCode' in expected
      ? code === expected.exitCode
      : signal === expected.signal || code === 0 || code === 143;
  if (isAsSaid) return;
  const wanted =
    'exitCode' in expected ? `exit code ${expected.exitCode}` : `${expected.signal} or exit code 0`;
  throw new Error(
    `it ended with ${signal ?? `exit code ${code}`}, not ${wanted}; its output:\n${output}`,
  );
}

/** Names below localhost lead here, as in browsers. */
function ask(url: string): Promise<string | undefined> {
  const { port, pathname, search, host } = new URL(url);
  return new Promise((resolve) => {
    const request = get(
      { host: '127.0.0.1', port, path: pathname + search, headers: { host }, agent: false },
      (response) => {
        let body = '';
        response.on('data', (data) => (body += data));
        response.on('close', () => resolve(body));
      },
    );
    request.on('error', () => resolve(undefined));
  });
}
