// Runs every code block of README.md and docs/ by the directives in the comments before it, which
// CONTRIBUTING.md lists.
import { afterAll, describe, expect, test } from 'bun:test';
import type { Block } from '../support/readme/blocks.ts';
import { CHECKOUT_PATIENCE_MS } from '../support/readme/document.ts';
import { lacksPrograms, openPage, pages } from '../support/readme/pages.ts';

const inWords = ({ run, file, continues }: Block) =>
  file ? `is ${file}` : run ? `runs (${run})` : continues ? 'goes on' : 'is what is printed';

describe.each([...pages])('%s', (page) => {
  const document = openPage(page);
  afterAll(() => document[Symbol.dispose]());

  for (const block of document.blocks) {
    const title = `${page}:${block.line}: ${block.language || 'a hidden block'} ${inWords(block)}`;
    test.skipIf(lacksPrograms(page))(title, () => document.execute(block), CHECKOUT_PATIENCE_MS);
  }

  test('its TypeScript has no type errors', async () =>
    expect(await document.typeErrors()).toEqual([]));
});
