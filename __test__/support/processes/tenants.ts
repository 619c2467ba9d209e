/** Tenants on disk, in a directory of their own that is removed after the test. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { markedWith, untilGone } from './table.ts';

/** A tenant's files; `start` is its package.json's start script. */
export type TenantFiles = { start?: string; [file: string]: string | undefined };

/** A server that answers at once. The path says what it does. */
export const SERVER = `
const answers = { '/cwd': () => process.cwd(), '/pid': () => String(process.pid) };
Bun.serve({
  port: Number(process.env.PORT),
  fetch: (request) => new Response(answers[new URL(request.url).pathname]?.() ?? 'hello'),
});
`;

/** A server that prints a line, and listens only after a while. */
export const slowToListen = (ms: number) =>
  `console.log('booting');\nawait Bun.sleep(${ms});\n${SERVER}`;

/** A server that listens at once, prints a line for each request, and answers after a while. */
export const slowToAnswer = (ms: number) => `
Bun.serve({
  port: Number(process.env.PORT),
  async fetch() {
    console.log('asked');
    await Bun.sleep(${ms});
    return new Response('at last');
  },
});
`;

export class Tenants implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), 'abs-tenants-'));
  /**
   * A unique text in the working directory, environment or arguments of every process of these
   * tenants.
   */
  readonly mark = this.root;

  /** Adds a tenant; without a `start` script it is `bun server.ts`. */
  add(key: string, files: TenantFiles = {}): this {
    const { start = 'bun server.ts', ...rest } = files;
    const manifest = JSON.stringify({ name: 'tenant', private: true, scripts: { start } });
    for (const [name, text] of Object.entries({
      'package.json': manifest,
      'server.ts': SERVER,
      ...rest,
    })) {
      this.write(join(key, name), text ?? '');
    }
    return this;
  }

  write(path: string, text: string): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  get source() {
    return { kind: 'directory' as const, root: this.root };
  }

  /** Every process of these tenants that is alive now. */
  processes() {
    return markedWith(this.mark);
  }

  /** Ends the processes that a failed test has left, and removes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    const left = this.processes().filter(({ pid }) => pid !== process.pid);
    for (const { pid } of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has gone meanwhile.
      }
    }
    try {
      await untilGone('what a test has left', left);
    } finally {
      rmSync(this.root, { recursive: true, force: true });
    }
  }
}
