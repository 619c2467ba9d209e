/** A markdown document whose code blocks are run. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Block, headOf, isProgram, isTypeScript, parseBlocks, partsOf } from './blocks.ts';
import { assertEndedAsSaid, killMarked, Program } from './program.ts';
import { checkout, Project, replaced } from './project.ts';

/**
 * The time for a reader's program; commands in the checkout, which may build it first, have more.
 */
const PATIENCE_MS = 60_000;
export const CHECKOUT_PATIENCE_MS = 600_000;

export class MarkdownDocument implements Disposable {
  readonly blocks: readonly Block[];
  #project: Project;
  /** The output of each block that has run; each is run once. */
  #runs = new Map<Block, Promise<string>>();

  #leavingPatienceMs: number;
  #env: NodeJS.ProcessEnv;

  /**
   * `leavingPatienceMs`: tenants end within a second of their host, which may take longer on a
   * busy machine. `given` are files of another document that exist before all of this one.
   */
  constructor(
    markdown: string,
    {
      leavingPatienceMs = 20_000,
      env = {} as NodeJS.ProcessEnv,
      given = [] as readonly Block[],
    } = {},
  ) {
    this.#leavingPatienceMs = leavingPatienceMs;
    this.blocks = parseBlocks(markdown);
    this.#project = new Project([...given, ...this.blocks]);
    // Where the control sockets of its hosts are: not with those of other pages and of this machine.
    this.#env = { XDG_RUNTIME_DIR: this.directory, ...env };
  }

  get directory() {
    return this.#project.directory;
  }

  /**
   * Runs a block, or what it is part of; resolves once everything that its directives say is true.
   */
  async execute(block: Block): Promise<void> {
    if (block.file) return checkFile(block);
    const output = await this.#outputOf(headOf(this.blocks, block)!);
    if (block.output) assertShows(output, block);
  }

  /** The type errors of every TypeScript block, with their lines in the document. */
  async typeErrors(): Promise<string[]> {
    if (!this.blocks.some(isTypeScript)) return [];
    return (await this.#project.compile()).errors;
  }

  /** Also ends what stays because a block failed before the one that ends it. */
  [Symbol.dispose](): void {
    killMarked(this.directory);
    this.#project.remove();
  }

  #outputOf(head: Block): Promise<string> {
    const known = this.#runs.get(head);
    const output = known ?? this.#run(head);
    if (!known) this.#runs.set(head, output);
    return output;
  }

  async #run(head: Block): Promise<string> {
    if (head.run === 'node' && isTypeScript(head)) await this.#project.compile();
    this.#project.prepare(head);
    const parts = partsOf(this.blocks, head);
    const prints = parts.flatMap((part) => part.prints);
    const answers = parts.flatMap((part) => part.answers);
    const ends = parts.findLast((part) => part.ends)?.ends ?? { exitCode: 0 };
    const isInCheckout = head.run === 'checkout';
    const cwd = isInCheckout ? checkout : this.directory;
    const patienceMs = isInCheckout ? CHECKOUT_PATIENCE_MS : PATIENCE_MS;
    const { stays } = head;
    const options = { cwd, mark: this.directory, patienceMs, env: this.#env, stays };
    await using program = new Program(this.#command(head), options);
    const isEndless = 'signal' in ends;
    if (isEndless || answers.length > 0) await program.hasSaid(prints, answers);
    const ending = await (isEndless ? program.stop(ends.signal) : program.ended());
    assertEndedAsSaid(ends, ending, program.output);
    await program.hasSaid(prints, []);
    if (!stays) await program.leftNothing(this.#leavingPatienceMs);
    return program.output;
  }

  #command(head: Block): string[] {
    if (head.run === 'checkout') assertScriptsExist(head);
    if (isProgram(head)) return [head.run!, this.#project.programPath(head)];
    return ['bash', '-euo', 'pipefail', '-c', head.instead ?? replaced(head, head.code, true)];
  }
}

/** Also for commands that `instead:` replaces. */
function assertScriptsExist({ code, line }: Block): void {
  const { scripts } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'));
  for (const [command, named, plain] of code.matchAll(/\bnpm (?:run ([\w:-]+)|(test|start)\b)/g)) {
    if (!((named ?? plain ?? '') in scripts))
      throw new Error(`line ${line}: there is no script for ${command}`);
  }
}

/** Parses a file's code; the programs that import it run it. */
function checkFile({ file, code }: Block): void {
  if (file?.endsWith('.json')) JSON.parse(code);
}

/** Each line of the block is in the output, in this order; `…` stands for anything. */
function assertShows(output: string, { code, line }: Block): void {
  const printed = output.split('\n');
  let next = 0;
  for (const expected of code
    .split('\n')
    .filter((text) => text.trim() !== '' && text.trim() !== '…')) {
    const pattern = new RegExp(
      `^${expected.trimEnd().split('…').map(RegExp.escape).join('.*')}\\s*$`,
    );
    const found = printed.findIndex((text, at) => at >= next && pattern.test(text));
    if (found < 0)
      throw new Error(`line ${line}: the output has no line "${expected}":\n${output}`);
    next = found + 1;
  }
}
