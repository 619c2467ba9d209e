/** Host programs, in Node and in Bun, that use the package and talk to their test in lines. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { until, within } from './until.ts';

const checkout = join(import.meta.dir, '..', '..', '..');
/** Where `bun` is; a Node host's tenants need it. */
export const binDirectory = join(checkout, 'node_modules', '.bin');

export const engines = { Node: 'node', Bun: process.execPath } as const;
export type EngineName = keyof typeof engines;
export const engineNames = Object.keys(engines) as EngineName[];

export type HostOptions = {
  env?: NodeJS.ProcessEnv;
  /** Shell words before the engine's. */ before?: string;
};

/** Starts `hosts/<program>` with the arguments. */
export function startHost(
  engine: EngineName,
  program: string,
  args: readonly string[],
  options: HostOptions = {},
) {
  const env = options.env ?? { ...process.env, PATH: `${binDirectory}:${process.env.PATH}` };
  const words = [engines[engine], join(import.meta.dir, 'hosts', program), ...args];
  const shell = ['sh', '-c', `${options.before}; exec "$@"`, 'sh'];
  const [command = '', ...rest] = options.before === undefined ? words : [...shell, ...words];
  // `node` is looked up in our own PATH, whatever the host is given.
  return new Host(spawn(command, rest, { env, stdio: ['pipe', 'pipe', 'pipe'] }));
}

export class Host implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  errors = '';
  #child: ChildProcess;
  #hasEnded = false;

  constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout) createInterface(child.stdout).on('line', (line) => this.lines.push(line));
    child.stderr?.on('data', (data) => (this.errors += data));
    child.stdin?.on('error', () => {});
    this.exited = new Promise((resolve) => {
      child.on('exit', () => (this.#hasEnded = true));
      child.on('close', (code, signal) => resolve({ code, signal }));
      child.on('error', (error) => {
        this.errors += error;
        resolve({ code: null, signal: null });
      });
    });
  }

  get pid() {
    return this.#child.pid ?? 0;
  }

  /** Whether the process has ended, even if another one has its output open. */
  get hasEnded() {
    return this.#hasEnded;
  }

  say(word: string): void {
    this.#child.stdin?.write(`${word}\n`);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** What follows the word on the first line that begins with it. */
  async said(word: string, patienceMs?: number): Promise<string> {
    const find = () => this.lines.find((line) => line === word || line.startsWith(`${word} `));
    const line = await until(
      `the host says ${word}`,
      () => find() ?? (this.#hasEnded && ''),
      patienceMs,
    ).catch((error) => Promise.reject(new Error(`${error.message}\n${this.errors}`)));
    if (line === '' && find() === undefined) {
      await this.exited;
      const late = find();
      if (late === undefined)
        throw new Error(`the host ended without saying ${word}\n${this.errors}`);
      return late.slice(word.length + 1);
    }
    return line.slice(word.length + 1);
  }

  async saidJson<T>(word: string, patienceMs?: number): Promise<T> {
    return JSON.parse(await this.said(word, patienceMs));
  }

  end() {
    return within('the host ends', this.exited);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }
}
