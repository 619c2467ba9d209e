import { expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { markedWith, until } from '../support/processes/index.ts';
import { MarkdownDocument } from '../support/readme/document.ts';

const open = (text: string, options = {}) =>
  new MarkdownDocument(text.replaceAll("'''", '```').replaceAll(/^ {4}/gm, ''), options);

/** Runs every block in turn; what the last one comes to. */
async function execute(text: string): Promise<void> {
  using document = open(text);
  for (const block of document.blocks) await document.execute(block);
}

const HOST = `
    import { createRuntime } from '@absolutejs/runtime';

    const runtime = createRuntime({ source: { kind: 'directory', root: 'tenants' } });
    Bun.serve({
      port: 0,
      fetch: async () => {
        const { port } = await runtime.ensure('hello');
        return fetch(\`http://127.0.0.1:\${port}/\`);
      },
    });
`;
const TENANT = `
    <!-- file: tenants/hello/package.json -->
    '''json
    { "scripts": { "start": "bun server.ts" } }
    '''
    <!-- file: tenants/hello/server.ts -->
    '''ts
    Bun.serve({ port: process.env.PORT, fetch: () => new Response('hello') });
    '''
`;

test('programs run in Bun and in Node, with the files before them, and go on in later blocks', async () => {
  await execute(`
    <!-- file: greeting.json -->
    '''json
    { "text": "good morning" }
    '''
    <!-- run: bun
         prints: good morning, Bun -->
    '''ts
    const { text }: { text: string } = await Bun.file('greeting.json').json();
    const engine: string = process.versions.bun ? 'Bun' : 'Node';
    '''
    <!-- continues -->
    '''ts
    console.log(\`\${text}, \${engine}\`);
    '''
    <!-- run: node
         prints: string undefined -->
    '''ts
    await using closing = { [Symbol.asyncDispose]: async () => {} };
    const engine: string | undefined = process.versions.bun;
    console.log(typeof closing === 'object' ? 'string' : '', engine);
    '''
    <!-- run: node
         prints: plain -->
    '''js
    console.log('plain');
    '''
  `);
}, 60_000);

test('a server runs until it has answered, is stopped, and takes its tenants along', async () => {
  using document = open(`
    ${TENANT}
    <!-- run: bun
         replace: port: 0 => port: 26213
         answers: http://acme.localhost:26213/ hello
         ends: SIGTERM -->
    '''ts
    ${HOST}
    '''
  `);
  await document.execute(document.blocks.at(-1)!);
  const { directory } = document;
  expect(existsSync(directory)).toBeTrue();
  document[Symbol.dispose]();
  expect(existsSync(directory)).toBeFalse();
}, 60_000);

test('commands run in the project, where the package and its programs are installed', async () => {
  await execute(`
    <!-- run: shell
         prints: Usage: npx @absolutejs/runtime COMMAND -->
    '''sh
    npx @absolutejs/runtime --help
    '''
    <!-- output -->
    '''
    Usage: …
    …doctor…
    …
    Exit codes: 0 …
    …
    '''
    <!-- run: shell
         instead: node -p "require('@absolutejs/runtime/package.json').name"
         prints: @absolutejs/runtime -->
    '''sh
    npm install @absolutejs/runtime
    '''
    <!-- run: shell
         ends: exit 2 -->
    '''sh
    npx @absolutejs/runtime docter
    '''
  `);
}, 60_000);

const STAYING = `
    <!-- run: shell
         stays -->
    '''sh
    sleep 1000 > log 2>&1 &
    echo $! > pid
    '''
    <!-- run: shell
         stays -->
    '''sh
    kill -0 $(cat pid)
    '''
`;

test('what stays goes on beside the blocks below, the last of which ends it', async () => {
  await execute(`
    ${STAYING}
    <!-- run: shell -->
    '''sh
    kill $(cat pid)
    '''
  `);
}, 60_000);

test('what stays and is not ended fails, and is ended with the document', async () => {
  using document = open(
    `
    ${STAYING}
    <!-- run: shell -->
    '''sh
    true
    '''
  `,
    { leavingPatienceMs: 300 },
  );
  const [starts, looks, last] = document.blocks;
  await document.execute(starts!);
  await document.execute(looks!);
  await expect(document.execute(last!)).rejects.toThrow(/nothing is left of it; left: sleep \d+/);
}, 60_000);

test('what stays because a block failed is ended with the document', async () => {
  const document = open(`${STAYING}\n<!-- run: shell -->\n'''sh\ntrue\n'''`);
  await document.execute(document.blocks[0]!);
  expect(markedWith(document.directory)).toHaveLength(1);
  document[Symbol.dispose]();
  await until('it is gone', () => markedWith(document.directory).length === 0, 5_000);
}, 60_000);

test('types are checked, and errors have the line of the document', async () => {
  using document = open(`
    <!-- file: server.ts -->
    '''ts
    const port: number = 'a port';
    '''
    <!-- hidden:
    const hidden = 1;
    -->
    <!-- run: bun -->
    '''ts
    const fine: number = hidden;
    const wrong: string = fine;
    '''
  `);
  expect(await document.typeErrors()).toEqual([
    expect.stringMatching(/^line 12: error TS2322: /),
    expect.stringMatching(/^line 4: error TS2322: /),
  ]);
});

const FAILING: [string, string, RegExp][] = [
  [
    'a program that fails',
    `<!-- run: bun -->\n'''ts\nthrow new Error('broken on purpose');\n'''`,
    /ended with exit code 1, not exit code 0; its output:[^]*broken on purpose/,
  ],
  [
    'a program that prints something else',
    `<!-- run: bun\n prints: hello -->\n'''ts\nconsole.log('good-bye');\n'''`,
    /it prints "hello"; its output:\ngood-bye/,
  ],
  [
    'a server that ends before it has answered',
    `<!-- run: bun\n answers: http://127.0.0.1:9/ hello\n ends: SIGTERM -->\n'''ts\n1;\n'''`,
    /it has ended before http:\/\/127\.0\.0\.1:9\/ answers "hello"/,
  ],
  [
    'a command of which any part fails',
    `<!-- run: shell -->\n'''sh\nfalse | true\n'''`,
    /ended with exit code 1/,
  ],
  [
    'an output that is another',
    `<!-- run: shell -->\n'''sh\necho one two\n'''\n<!-- output -->\n'''\none … three\n'''`,
    /the output has no line "one … three":\none two/,
  ],
  [
    'a replacement that fits nothing',
    `<!-- run: bun\n replace: 3000 => 0 -->\n'''ts\n1;\n'''`,
    /line 3: this block has no 3000 to replace/,
  ],
  [
    'a file of JSON that is none',
    `<!-- file: a.json -->\n'''json\n{ a }\n'''\n<!-- run: shell -->\n'''sh\n:\n'''`,
    /JSON/,
  ],
  [
    'a script that package.json does not have',
    `<!-- run: checkout\n instead: true -->\n'''sh\nnpm run demonstrate\n'''`,
    /there is no script for npm run demonstrate/,
  ],
];

test.each(FAILING)('%s fails', async (_, text, problem) => {
  await expect(execute(text)).rejects.toThrow(problem);
});

test('a program that leaves a process behind fails, and the process is ended', async () => {
  using document = open(
    `
    <!-- run: shell -->
    '''sh
    setsid sleep 1000 > /dev/null 2>&1 &
    '''
  `,
    { leavingPatienceMs: 300 },
  );
  await expect(document.execute(document.blocks[0]!)).rejects.toThrow(
    /nothing is left of it; left: sleep \d+/,
  );
}, 60_000);
