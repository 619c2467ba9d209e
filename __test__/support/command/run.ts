// Runs the command as people do: as a process, in a pipe or in a terminal.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { until, within } from '../processes/until.ts';

const root = join(import.meta.dir, '..', '..', '..');
export const PROGRAM = join(root, 'bin', 'absolutejs-runtime.js');
export const PATH = [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter);

export type Engine = 'bun' | 'node';
export const ENGINES: Engine[] = ['bun', 'node'];

export type Options = {
  engine?: Engine;
  env?: Record<string, string>;
  cwd?: string;
};

/** Nothing of the tests' own environment decides what a command does. */
const clean = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) =>
      !/^(?:ABSOLUTE_RUNTIME_|COLUMNS$|NO_COLOR$|FORCE_COLOR$|XDG_RUNTIME_DIR$)/.test(name),
  ),
) as Record<string, string>;

/** What a test that failed has left is ended with the tests. */
const started = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of started) child.kill('SIGKILL');
});

export class Command {
  stdout = '';
  stderr = '';
  code: number | null | undefined;
  readonly ended: Promise<this>;

  readonly process: ChildProcess;

  constructor(process: ChildProcess) {
    this.process = process;
    started.add(process);
    process.stdout?.setEncoding('utf8').on('data', (text: string) => void (this.stdout += text));
    process.stderr?.setEncoding('utf8').on('data', (text: string) => void (this.stderr += text));
    this.ended = new Promise((resolve) =>
      process.once('close', (code) => {
        this.code = code;
        started.delete(process);
        resolve(this);
      }),
    );
  }

  /** Resolves with the first match in what has been printed. */
  async says(pattern: RegExp, stream: 'stdout' | 'stderr' = 'stdout'): Promise<RegExpExecArray> {
    return until(`${pattern} in ${stream}`, () => {
      const match = pattern.exec(this[stream]);
      if (match === null && this.code !== undefined) {
        throw new Error(`it ended with ${this.code}: ${this.stdout}${this.stderr}`);
      }
      return match ?? undefined;
    });
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<this> {
    this.process.kill(signal);
    return within(`the end by ${signal}`, this.ended);
  }
}

/** Starts it in a pipe. */
export function start(args: string[], { engine = 'bun', env = {}, cwd }: Options = {}): Command {
  return new Command(
    spawn(engine, [PROGRAM, ...args], {
      env: { ...clean, PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(cwd && { cwd }),
    }),
  );
}

/** Runs it to its end, in a pipe. */
export const run = (args: string[], options?: Options) =>
  within(args.join(' '), start(args, options).ended);

/** A script of a shell that calls it `runtime`. */
export function shell(script: string, { engine = 'bun', env = {}, cwd }: Options = {}) {
  const text = `runtime() { ${engine} ${PROGRAM} "$@"; }\n${script}`;
  const child = spawn('bash', ['-c', text], {
    env: { ...clean, PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd && { cwd }),
  });
  return within(script, new Command(child).ended);
}

/** A directory that is gone after the test: `using`. Its path is short, as those of sockets must be. */
export function directory() {
  const path = mkdtempSync(join(tmpdir(), 'abs-cmd-'));
  return {
    path,
    socket: join(path, 's'),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}
