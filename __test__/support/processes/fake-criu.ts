/** Checkpoint commands in place of CRIU: shell scripts that save text instead of memory. */
import { execCheckpointDriver, type ExecCheckpointDriverOptions } from '@absolutejs/runtime';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isThere, markedWith, type Process, processOf } from './table.ts';
import { until } from './until.ts';

/** The pid of a process that lives; nothing is done to it. */
export const SOME_PID = process.ppid;

/** A script as a command; the words after it are `$1`, `$2`, … */
export const sh = (script: string, ...words: string[]) => ['sh', '-ec', script, 'sh', ...words];

/** Saves the tenant's key and pid. */
export const SAVE = sh('printf %s "$1 $2" > "$3/state"', '{key}', '{pid}', '{dir}');

/**
 * Starts a process in a session of its own, as `criu restore -d` does, that has what was saved in
 * its environment; `$pid` in the rest of the script is its pid.
 */
export const restoreAnd = (rest: string, output = '/dev/null') =>
  sh(
    `state=$(cat "$1/state"); STATE=$state setsid sleep 1000 >${output} 2>&1 & pid=$!; ${rest}`,
    '{dir}',
  );

export const RESTORE = restoreAnd('echo RESTORED_PID=$pid');

/** A directory of images, drivers for it, and the errors that they report. */
export class Lab implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'runtime-exec-'));
  readonly imageDir = join(this.directory, 'images');
  readonly errors: (Error & { code?: string })[] = [];
  readonly #restored: Process[] = [];

  driver(options: Partial<ExecCheckpointDriverOptions> = {}) {
    const onError = (error: Error) => this.errors.push(error);
    return execCheckpointDriver({
      checkpointCommand: SAVE,
      restoreCommand: RESTORE,
      imageDir: this.imageDir,
      onError,
      ...options,
    });
  }

  path(name: string) {
    return join(this.directory, name);
  }

  /** A script that opens it waits until the test does so as well. */
  fifo(name: string) {
    execFileSync('mkfifo', [this.path(name)]);
    return this.path(name);
  }

  /** What a script wrote to a file, a whole line at least. */
  said(name: string) {
    return until(`a script writes ${name}`, () => {
      const text = existsSync(this.path(name)) ? readFileSync(this.path(name), 'utf8') : '';
      return text.endsWith('\n') && text.trimEnd();
    });
  }

  /** Every file and directory below the images' directory. */
  images() {
    if (!existsSync(this.imageDir)) return [];
    return readdirSync(this.imageDir, { recursive: true, encoding: 'utf8' }).sort();
  }

  /** The saved state that the restored process has. The process is ended with the test. */
  async restored(result: { pid: number } | null): Promise<string> {
    const pid = result?.pid ?? 0;
    // Its pid is printed before it has executed its program.
    const state = await until(`process ${pid} is the restored one`, () => {
      const found = processOf(pid);
      if (found?.name !== 'sleep') return;
      const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      const variable = variables.find((variable) => variable.startsWith('STATE='));
      if (variable !== undefined) this.#restored.push(found);
      return variable;
    });
    return state.slice('STATE='.length);
  }

  [Symbol.dispose](): void {
    // Commands are left only by a test that failed.
    const left = [...this.#restored, ...markedWith(this.directory)].filter(isThere);
    for (const { pid } of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended with one before it.
      }
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** What a promise rejects with. */
export const rejectionOf = (promise: Promise<unknown>): Promise<Error & { code?: string }> =>
  promise.then(
    (value) => Promise.reject(new Error(`resolved with ${JSON.stringify(value)}`)),
    (error) => error,
  );
