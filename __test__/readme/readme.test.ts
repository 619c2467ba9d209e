// Every code block of README.md is run, as the directives in the comments before it say. CONTRIBUTING.md has them all.
import { afterAll, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Block } from '../support/readme/blocks.ts';
import { CHECKOUT_PATIENCE_MS, MarkdownDocument } from '../support/readme/document.ts';
import { checkout } from '../support/readme/project.ts';

const readme = new MarkdownDocument(readFileSync(join(checkout, 'README.md'), 'utf8'));
afterAll(() => readme[Symbol.dispose]());

const inWords = ({ run, file, continues }: Block) =>
  file ? `is ${file}` : run ? `runs (${run})` : continues ? 'goes on' : 'is what is printed';

for (const block of readme.blocks) {
  const title = `README.md:${block.line}: ${block.language || 'a hidden block'} ${inWords(block)}`;
  test(title, () => readme.execute(block), CHECKOUT_PATIENCE_MS);
}

test('the TypeScript of README.md has no type errors', async () => {
  expect(await readme.typeErrors()).toEqual([]);
});
