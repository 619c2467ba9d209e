import { expect, test } from 'bun:test';
import { parseBlocks, partsOf } from '../support/readme/blocks.ts';

/** A fence cannot stand in this file's strings without being hard to read. */
const markdown = (text: string) => text.replaceAll("'''", '```').replaceAll(/^ {4}/gm, '');
const parsed = (text: string) => parseBlocks(markdown(text));

test('directives stand in the comments before a block, one a line', () => {
  const [block] = parsed(`
    Text.

    <!-- run: bun
         prints: hello, world
         prints: twice
         ends: exit 3 -->
    <!-- answers: http://a.localhost:3000/x?y=1 two words -->

    '''ts
    first();
      second();
    '''
  `);
  expect(block).toMatchObject({
    ...{ line: 10, language: 'ts', run: 'bun', code: 'first();\n  second();' },
    ...{ prints: ['hello, world', 'twice'], ends: { exitCode: 3 } },
    answers: [{ url: 'http://a.localhost:3000/x?y=1', text: 'two words' }],
  });
});

test('a comment of file: with content is a file that readers do not see', () => {
  const [file, block] = parsed(`
    <!-- file: tenants/a/package.json
    { "scripts": {} }
    -->
    <!-- run: shell -->
    '''sh
    true
    '''
  `);
  expect(file).toMatchObject({ file: 'tenants/a/package.json', code: '{ "scripts": {} }' });
  expect(block).toMatchObject({ run: 'shell', code: 'true' });
});

test('a hidden beginning may have many lines; replacements say from what to what', () => {
  const [block] = parsed(`
    <!-- hidden:
    const a = 1;
    const b = 2;
    -->
    <!-- run: node
         replace: /srv => ./srv
         replace: 3000 => 0 -->
    '''js
    a + b;
    '''
  `);
  expect(block!.hidden).toBe('const a = 1;\nconst b = 2;\n');
  expect(block!.replace).toEqual([
    { from: '/srv', to: './srv' },
    { from: '3000', to: '0' },
  ]);
});

test('continuations belong to the last program before them', () => {
  const blocks = parsed(`
    <!-- run: bun -->
    '''ts
    const a = 1;
    '''
    <!-- file: a.txt -->
    '''
    text
    '''
    <!-- continues -->
    '''ts
    a;
    '''
    <!-- run: bun -->
    '''ts
    other;
    '''
  `);
  expect(partsOf(blocks, blocks[0]!).map(({ code }) => code)).toEqual(['const a = 1;', 'a;']);
  expect(partsOf(blocks, blocks[3]!).map(({ code }) => code)).toEqual(['other;']);
});

test('blocks in lists, other fences, and fences within a longer fence', () => {
  const blocks = parsed(`
    * item

      <!-- run: shell -->
      '''sh
      if true; then
        true
      fi
      '''

    <!-- output -->
    ~~~
    '''
    ~~~
  `);
  expect(blocks.map(({ code }) => code)).toEqual(['if true; then\n  true\nfi', '```']);
});

test('comments that are no directives are left alone', () => {
  expect(parsed('<!-- A note: not one of ours. -->\n\nText.')).toEqual([]);
});

const RUN = "<!-- run: bun -->\n'''ts\n1;\n'''";

test.each([
  ['a block without a directive', "'''ts\n1;\n'''", 'line 1: nothing says how this block is run'],
  [
    'a directive that is misspelt',
    `<!-- print: 1 -->\n${RUN}`,
    'line 1: unknown directive: print: 1',
  ],
  ['a directive without a block', '<!-- run: bun -->\n\nText.', 'line 1: no code block follows'],
  ['a directive at the end', '<!-- run: bun -->', 'line 1: no code block follows'],
  [
    'an unknown runner',
    "<!-- run: deno -->\n'''ts\n1;\n'''",
    'line 1: run: takes bun, node, shell, checkout',
  ],
  [
    'two ways at once',
    `<!-- file: a.ts -->\n${RUN}`,
    'line 3: run, file, continues and output exclude',
  ],
  [
    'a file that stays',
    `<!-- file: a.ts -->\n<!-- stays -->\n'''ts\n1;\n'''\n${RUN}`,
    'line 3: only what is run stays',
  ],
  [
    'what stays at the end',
    `<!-- stays -->\n${RUN}`,
    'line 3: no later block ends what stays here',
  ],
  ['a file that nothing uses', "<!-- file: a.ts -->\n'''ts\n1;\n'''", 'nothing uses a.ts'],
  ['a file elsewhere', `<!-- file: ../a.ts -->\n${RUN}`, 'file: takes a path below the project'],
  ['a continuation of nothing', "<!-- continues -->\n'''ts\n1;\n'''", 'no earlier block runs'],
  ['an output of nothing', "<!-- output -->\n'''\n1\n'''", 'no earlier block runs'],
  [
    'a continued command',
    "<!-- run: shell -->\n'''sh\n:\n'''\n<!-- continues -->\n'''sh\n:\n'''",
    'only programs',
  ],
  ['an ending that is none', `<!-- ends: well -->\n${RUN}`, 'ends: takes exit <code>, or SIGTERM'],
  ['an answer without a text', `<!-- answers: http://localhost/ -->\n${RUN}`, 'answers: takes'],
  ['a replacement by nothing', `<!-- replace: a -->\n${RUN}`, 'replace: takes'],
  ['a block without an end', "<!-- run: bun -->\n'''ts\n1;", 'line 2: this code block has no end'],
  ['a comment without an end', '<!-- run: bun', 'line 1: this comment has no end'],
])('%s is refused', (_, text, problem) => {
  expect(() => parsed(text)).toThrow(problem);
});
