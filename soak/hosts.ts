/** The host processes of a run, and the lines that they print. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Assignment } from './host/host.mjs';

export type HostFigures = {
  starts: number;
  live: number;
  counts: Record<string, number>;
  reasons: Record<string, number>;
  outcomes: Record<string, number>;
  slowest: Record<string, number>;
};
export type Said = {
  word: string;
  text?: string;
  own?: Record<string, number>;
} & Partial<HostFigures>;

export const engines = { bun: process.execPath, node: 'node' } as const;
export type EngineName = keyof typeof engines;

/** How long the rest of an ended host's output is read. */
const PIPES_MS = 2_000;

export class Host {
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly assignment: Assignment;
  /** The latest figures that the host printed. */
  figures: HostFigures = { starts: 0, live: 0, counts: {}, reasons: {}, outcomes: {}, slowest: {} };
  #child: ChildProcess;
  #waiting = new Map<string, (said: Said) => void>();
  #errors = '';
  #done: string[] = [];
  readonly #startedAt = performance.now();
  hasEnded = false;

  constructor(engine: EngineName, assignment: Assignment, violation: (text: string) => void) {
    this.assignment = assignment;
    const flags = engine === 'node' ? ['--expose-gc'] : [];
    const program = join(import.meta.dir, 'host', 'host.mjs');
    const args = [...flags, program, JSON.stringify(assignment)];
    this.#child = spawn(engines[engine], args, {
      env: { ...process.env, SOAK_RUN: assignment.place.run },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stdin?.on('error', () => {});
    this.#child.stderr?.on(
      'data',
      (data) => (this.#errors = `${this.#errors}${data}`.slice(-4_000)),
    );
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      const said = parse(line);
      if (said === undefined) return;
      if (said.starts !== undefined) this.figures = { ...this.figures, ...said };
      if (said.word === 'violation') violation(`${assignment.seed}: ${said.text}`);
      if (said.word === 'did') this.#note(said.text ?? '');
      this.#waiting.get(said.word)?.(said);
      this.#waiting.delete(said.word);
    });
    this.ended = new Promise((resolve) => {
      this.#child.on('exit', (code, signal) => {
        this.hasEnded = true;
        // Processes that it left behind may hold its pipes open: then `close` does not come.
        setTimeout(resolve, PIPES_MS, { code, signal }).unref();
      });
      this.#child.on('close', (code, signal) => resolve({ code, signal }));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The end of its stderr. */
  get errors(): string {
    return this.#errors.trim();
  }

  /** The latest operations on its wardens and keepers, with the time since its start. */
  get lastDone(): string {
    return this.#done.join(', ') || 'nothing to its wardens and keepers';
  }

  #note(what: string): void {
    const atMs = Math.round(performance.now() - this.#startedAt);
    this.#done = [...this.#done, `${what} at ${atMs} ms`].slice(-6);
  }

  say(word: 'go' | 'end'): void {
    this.#child.stdin?.write(`${word}\n`);
  }

  /** Resolves with the host's next line of this word; undefined if it ends or the time is up. */
  hears(word: string, patienceMs: number): Promise<Said | undefined> {
    const { promise, resolve } = Promise.withResolvers<Said | undefined>();
    this.#waiting.set(word, resolve);
    const timer = setTimeout(resolve, patienceMs, undefined);
    void this.ended.then(() => resolve(undefined));
    return promise.finally(() => clearTimeout(timer));
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

/** Undefined for half a line, which a killed host may leave. */
function parse(line: string): Said | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
