/**
 * A reader's project: the package installed, the document's files in place, its programs beside
 * them.
 */
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Block, DirectiveError, isProgram, isTypeScript, partsOf } from './blocks.ts';

export const checkout = join(import.meta.dir, '..', '..', '..');
export const binDirectory = join(checkout, 'node_modules', '.bin');

const COMPILED = '.compiled';
const TSCONFIG = {
  compilerOptions: {
    ...{
      target: 'es2022',
      lib: ['es2023', 'dom', 'esnext.disposable'],
      module: 'nodenext',
      types: ['bun', 'node'],
    },
    ...{ strict: true, skipLibCheck: true, moduleDetection: 'force' },
    // Compiled for Node, which may not know every syntax yet; Bun is given the TypeScript itself.
    ...{ outDir: COMPILED, rootDir: '.', rewriteRelativeImportExtensions: true },
  },
  include: ['**/*.ts'],
};

export interface TypeErrors {
  /** One for each error, with the line of the document. */
  errors: string[];
}

export class Project {
  readonly directory = realpathSync(mkdtempSync(join(tmpdir(), 'readme-')));
  #blocks: readonly Block[];
  #compilation: Promise<TypeErrors> | undefined;

  constructor(blocks: readonly Block[]) {
    this.#blocks = blocks;
    this.#write('package.json', JSON.stringify({ name: 'reader', private: true, type: 'module' }));
    this.#write('tsconfig.json', JSON.stringify(TSCONFIG));
    this.#link('node_modules/@absolutejs/runtime', checkout);
    for (const name of ['@types', '@opentelemetry', 'prom-client'])
      this.#link(`node_modules/${name}`, join(checkout, 'node_modules', name));
    const { bin } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'));
    for (const [name, path] of Object.entries<string>(bin))
      this.#link(`node_modules/.bin/${name}`, join(checkout, path));
  }

  /** Where the program of a head is, compiled for Node or as it is. */
  programPath(head: Block): string {
    const name = this.#sourceName(head);
    if (head.run === 'node' && isTypeScript(head))
      return join(COMPILED, name.replace(/\.ts$/, '.js'));
    return name;
  }

  /** Writes the files that the document has given until this block, and the block's program. */
  prepare(head: Block): void {
    for (const block of this.#blocks.slice(0, this.#blocks.indexOf(head))) this.#writeFileOf(block);
    if (isProgram(head)) this.#writeProgram(head);
  }

  /** Type-checks every TypeScript block; compiles them all. */
  compile(): Promise<TypeErrors> {
    return (this.#compilation ??= this.#compile());
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #compile(): Promise<TypeErrors> {
    for (const block of this.#blocks) {
      this.#writeFileOf(block);
      if (isProgram(block)) this.#writeProgram(block);
    }
    const tsc = Bun.spawn([join(binDirectory, 'tsc'), '--pretty', 'false'], {
      cwd: this.directory,
      stdout: 'pipe',
    });
    const [output, exitCode] = await Promise.all([new Response(tsc.stdout).text(), tsc.exited]);
    const errors = output.split('\n').filter((line) => line !== '');
    if (exitCode !== 0 && errors.length === 0) errors.push(`tsc ended with exit code ${exitCode}`);
    return { errors: errors.map((line) => this.#inDocument(line)) };
  }

  /** `readme-42.ts(3,7): error TS…` becomes `line 45: error TS…`. */
  #inDocument(error: string): string {
    const [, name = '', row = '', message = ''] = /^(.+?)\((\d+),\d+\): (.*)$/.exec(error) ?? [];
    const head = this.#blocks.find((block) => isProgram(block) && this.#sourceName(block) === name);
    if (head) return `line ${this.#program(head).lines[Number(row) - 1] ?? head.line}: ${message}`;
    const file = this.#blocks.findLast((block) => block.file === name);
    return file ? `line ${file.line + Number(row)}: ${message}` : error;
  }

  #sourceName(head: Block): string {
    return `readme-${head.line}.${isTypeScript(head) ? 'ts' : 'js'}`;
  }

  #writeProgram(head: Block): void {
    this.#write(this.#sourceName(head), this.#program(head).code);
  }

  /** The code of all parts, and for each of its lines the line of the document. */
  #program(head: Block): { code: string; lines: number[] } {
    const parts = partsOf(this.#blocks, head).flatMap((block) => [
      { text: replaced(block, block.hidden), line: () => block.line },
      { text: replaced(block, block.code, true), line: (row: number) => block.line + 1 + row },
    ]);
    const lines = parts.flatMap(({ text, line }) => text.split('\n').map((_, row) => line(row)));
    return { code: parts.map(({ text }) => text).join('\n'), lines };
  }

  #writeFileOf(block: Block): void {
    if (block.file) this.#write(block.file, replaced(block, block.code, true));
  }

  #write(name: string, content: string): void {
    const path = join(this.directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }

  #link(name: string, target: string): void {
    const path = join(this.directory, name);
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(target, path);
  }
}

/** A replacement that changes nothing in the block's own code is a mistake. */
export function replaced(block: Block, text: string, mustMatch = false): string {
  return block.replace.reduce((code, { from, to }) => {
    if (mustMatch && !code.includes(from))
      throw new DirectiveError(block.line, `this block has no ${from} to replace`);
    return code.replaceAll(from, to);
  }, text);
}
