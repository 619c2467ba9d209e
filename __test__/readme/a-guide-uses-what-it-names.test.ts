import { expect, test } from 'bun:test';
import { parseBlocks } from '../support/readme/blocks.ts';
import { MarkdownDocument } from '../support/readme/document.ts';
import { filesNamedBy } from '../support/readme/pages.ts';

const markdown = (text: string) => text.replaceAll("'''", '```').replaceAll(/^ {4}/gm, '');

const readme = parseBlocks(
  markdown(`
    <!-- file: tenants/hello/package.json
    { "scripts": { "start": "bun server.ts" } }
    -->
    <!-- file: greeting.ts -->
    '''ts
    export const greeting = 'good morning';
    '''
    <!-- run: bun -->
    '''ts
    console.log('the README');
    '''
  `),
);

const namesOfFiles = (guide: string) =>
  filesNamedBy(markdown(guide), readme).map(({ file }) => file);

test.each([
  ['a file', 'The examples use `greeting.ts` of the README.', ['greeting.ts']],
  ['a directory', 'Here is `tenants/hello`.', ['tenants/hello/package.json']],
  ['nothing', 'It has no tenants and no greeting.ts.', []],
  ['the beginning of a name', '`tenants/hell` and `greeting`', []],
])("the README's files are there for a guide that names %s", (_, guide, files) => {
  expect(namesOfFiles(guide)).toEqual(files);
});

test('a file that only code or a hidden comment names does not exist', () => {
  expect(namesOfFiles("<!-- `greeting.ts` -->\n'''ts\n// `greeting.ts`\n'''\n")).toEqual([]);
});

const GUIDE = markdown(`
    <!-- run: bun
         prints: good morning -->
    '''ts
    import { greeting } from './greeting.ts';
    console.log(greeting);
    '''
`);

test.each([
  ['runs with the files that are given', 'It uses `greeting.ts`.', 'it runs'],
  ['fails without them', '', 'Cannot find module'],
])('a guide %s', async (_, prose, outcome) => {
  using document = new MarkdownDocument(GUIDE, { given: filesNamedBy(prose, readme) });
  const result = await document.execute(document.blocks[0]!).then(
    () => 'it runs',
    (error) => String(error),
  );
  expect(result).toContain(outcome);
});
