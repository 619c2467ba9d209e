/**
 * The code blocks of a markdown text, and the directives in the HTML comments before them that say
 * how each is run. CONTRIBUTING.md describes the directives to those who write them.
 */

const RUNNERS = ['bun', 'node', 'shell', 'checkout'] as const;
export type Runner = (typeof RUNNERS)[number];

export type Ending = { exitCode: number } | { signal: NodeJS.Signals };
export type Replacement = { from: string; to: string };
export type Answer = { url: string; text: string };

export interface Block {
  /** Of the opening fence, in the markdown text. */
  line: number;
  language: string;
  code: string;
  run?: Runner;
  file?: string;
  continues: boolean;
  output: boolean;
  /** Code that the program begins with and readers do not see. */
  hidden: string;
  replace: Replacement[];
  /** A command that is run in place of the block's. */
  instead?: string;
  /** Processes of this block, and of blocks before it, may go on beside the blocks below. */
  stays: boolean;
  prints: string[];
  answers: Answer[];
  ends?: Ending;
}

/** What is wrong with a document's directives, with the line. */
export class DirectiveError extends Error {
  constructor(line: number, problem: string) {
    super(`line ${line}: ${problem}`);
  }
}

interface Comment {
  line: number;
  text: string;
}

const FENCE = /^\s*(`{3,}|~{3,})\s*([\w+-]*)/;
const DIRECTIVE = /^(continues|output|stays|[a-z]+:)(?:\s|$)/;

/** Every fenced code block, and every file that is given in a comment alone, in their order. */
export function parseBlocks(markdown: string): Block[] {
  const lines = markdown.split('\n');
  const blocks: Block[] = [];
  let comments: Comment[] = [];
  for (let index = 0; index < lines.length; index++) {
    const text = lines[index]!;
    const fence = FENCE.exec(text);
    if (fence) {
      const end = closingFence(lines, index, fence[1]!);
      const code = withoutIndent(lines.slice(index + 1, end));
      blocks.push(block(index + 1, fence[2]!, code, comments));
      comments = [];
      index = end;
    } else if (text.trimStart().startsWith('<!--')) {
      const end = lines.findIndex((line, at) => at >= index && line.includes('-->'));
      if (end < 0) throw new DirectiveError(index + 1, 'this comment has no end');
      const comment = { line: index + 1, text: commentText(lines.slice(index, end + 1)) };
      if (isHiddenFile(comment.text)) blocks.push(hiddenFile(comment));
      else if (DIRECTIVE.test(comment.text)) comments.push(comment);
      index = end;
    } else if (text.trim() !== '') {
      assertNone(comments);
    }
  }
  assertNone(comments);
  return checked(blocks);
}

function closingFence(lines: readonly string[], start: number, fence: string): number {
  const end = lines.findIndex((line, at) => at > start && line.trim().startsWith(fence));
  if (end < 0) throw new DirectiveError(start + 1, 'this code block has no end');
  return end;
}

/** A block in a list is indented as a whole. */
function withoutIndent(lines: readonly string[]): string {
  const indents = lines.filter((line) => line.trim() !== '').map((line) => line.search(/\S/));
  const indent = Math.min(...indents, Infinity);
  return lines.map((line) => line.slice(Number.isFinite(indent) ? indent : 0)).join('\n');
}

const commentText = (lines: readonly string[]) =>
  lines
    .join('\n')
    .trim()
    .replace(/^<!--\s?/, '')
    .replace(/\s*-->$/, '');

const isHiddenFile = (text: string) => /^file:.*\n/.test(text);

function hiddenFile({ line, text }: Comment): Block {
  const [first = '', ...content] = text.split('\n');
  return block(line, '', content.join('\n'), [{ line, text: first }]);
}

function assertNone(comments: readonly Comment[]): void {
  if (comments[0])
    throw new DirectiveError(comments[0].line, 'no code block follows this directive');
}

function block(line: number, language: string, code: string, comments: readonly Comment[]): Block {
  const made: Block = {
    ...{ line, language, code, continues: false, output: false, stays: false },
    ...{ hidden: '', replace: [], prints: [], answers: [] },
  };
  for (const comment of comments) {
    if (comment.text.startsWith('hidden:')) {
      made.hidden += `${comment.text.slice('hidden:'.length).trim()}\n`;
      continue;
    }
    comment.text
      .split('\n')
      .forEach((text, index) => direct(made, text.trim(), comment.line + index));
  }
  return made;
}

function direct(block: Block, text: string, line: number): void {
  const [name = ''] = text.split(/[\s:]/, 1);
  const value = text.slice(name.length + 1).trim();
  const refuse = (problem: string): never => {
    throw new DirectiveError(line, `${problem}: ${text}`);
  };
  switch (name) {
    case 'run':
      block.run =
        RUNNERS.find((runner) => runner === value) ?? refuse(`run: takes ${RUNNERS.join(', ')}`);
      return;
    case 'file':
      if (value === '' || value.startsWith('/') || value.includes('..'))
        refuse('file: takes a path below the project');
      block.file = value;
      return;
    case 'continues':
      block.continues = true;
      return;
    case 'output':
      block.output = true;
      return;
    case 'stays':
      block.stays = true;
      return;
    case 'replace': {
      const [from, to] = value.split(' => ');
      if (!from || to === undefined) return refuse('replace: takes <text> => <other text>');
      block.replace.push({ from, to });
      return;
    }
    case 'instead':
      block.instead = value;
      return;
    case 'prints':
      block.prints.push(value);
      return;
    case 'answers': {
      const [, url, answer] = /^(http:\S+)\s+(.+)$/.exec(value) ?? [];
      if (!url || !answer) return refuse('answers: takes <http URL> <text of the answer>');
      block.answers.push({ url, text: answer });
      return;
    }
    case 'ends':
      block.ends = endingOf(value) ?? refuse('ends: takes exit <code>, or SIGTERM');
      return;
    default:
      refuse('unknown directive');
  }
}

function endingOf(value: string): Ending | undefined {
  const [, code] = /^exit (\d+)$/.exec(value) ?? [];
  if (code !== undefined) return { exitCode: Number(code) };
  return value === 'SIGTERM' ? { signal: 'SIGTERM' } : undefined;
}

/** Refuses what would not be run. */
function checked(blocks: readonly Block[]): Block[] {
  blocks.forEach((block, index) => {
    const { line } = block;
    const ways = [block.run, block.file, block.continues || undefined, block.output || undefined];
    const given = ways.filter((way) => way !== undefined).length;
    if (given === 0)
      throw new DirectiveError(
        line,
        'nothing says how this block is run; put a directive before it',
      );
    if (given > 1)
      throw new DirectiveError(line, 'run, file, continues and output exclude each other');
    if (block.file && !blocks.slice(index).some(({ run }) => run)) {
      throw new DirectiveError(line, `no later block runs, so nothing uses ${block.file}`);
    }
    if (block.stays && !block.run)
      throw new DirectiveError(line, 'only what is run stays; this block is not');
    if (block.stays && !blocks.slice(index + 1).some(({ run, stays }) => run && !stays))
      throw new DirectiveError(line, 'no later block ends what stays here');
    if ((block.continues || block.output) && !headOf(blocks, block)) {
      throw new DirectiveError(
        line,
        'no earlier block runs, so there is nothing to continue or to show',
      );
    }
    if (block.continues && !isProgram(headOf(blocks, block)!)) {
      throw new DirectiveError(
        line,
        'only programs are continued; give a command a run: of its own',
      );
    }
  });
  return [...blocks];
}

/** The block whose run an output shows or a continuation goes on with. */
export function headOf(blocks: readonly Block[], block: Block): Block | undefined {
  return block.run ? block : blocks.slice(0, blocks.indexOf(block)).findLast(({ run }) => run);
}

/** The head and what continues it. */
export const partsOf = (blocks: readonly Block[], head: Block) =>
  blocks.filter((block) => block === head || (block.continues && headOf(blocks, block) === head));

export const isProgram = ({ run }: Block) => run === 'bun' || run === 'node';
export const isTypeScript = ({ language }: Block) => language === 'ts' || language === 'typescript';
