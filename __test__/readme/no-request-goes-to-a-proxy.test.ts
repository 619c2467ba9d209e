// Where HTTP_PROXY or one of its like is set, Bun's `fetch` asks that proxy even for what is at 127.0.0.1: what clients send
// to tenants, cookies included. What README.md and the demo show must not.
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Block } from '../support/readme/blocks.ts';
import { MarkdownDocument } from '../support/readme/document.ts';
import { Program } from '../support/readme/program.ts';
import { checkout } from '../support/readme/project.ts';
import { PROXY_VARIABLES, ProxyTrap } from '../support/readme/proxy-trap.mjs';

const readme = readFileSync(join(checkout, 'README.md'), 'utf8');
const PATIENCE_MS = 120_000;

/** Runs the blocks that are meant, in such an environment; what the proxy was asked for. */
async function asked(names: readonly string[], isMeant: (block: Block) => boolean): Promise<string[]> {
  await using trap = await ProxyTrap.open();
  using document = new MarkdownDocument(readme, { env: trap.environment(names) });
  const meant = document.blocks.filter((block) => block.run && isMeant(block));
  expect(meant.length).toBeGreaterThan(0);
  for (const block of meant) await document.execute(block);
  return trap.seen;
}

const isQuickStart = ({ code }: Block) => code.startsWith('bun host.mjs');
const isRouter = ({ code, run }: Block) => run === 'bun' && code.includes("from './sockets.ts'");

for (const name of PROXY_VARIABLES) {
  test(
    `the quick start and the router ask no proxy: ${name}`,
    async () => expect(await asked([name], (block) => isQuickStart(block) || isRouter(block))).toEqual([]),
    PATIENCE_MS,
  );
}

test(
  'neither does any other example that asks something on this machine',
  async () => {
    // With the commands that make what they use.
    const asksTenants = ({ code }: Block) =>
      /\bforward\(|\bfetch\(`http:\/\/127|fetch\(`\$\{lokiUrl|^mkdir/.test(code);
    const isOther = (block: Block) => asksTenants(block) && !isRouter(block) && !isQuickStart(block);
    expect(await asked(PROXY_VARIABLES, isOther)).toEqual([]);
  },
  PATIENCE_MS,
);

test(
  'the demo asks none',
  async () => {
    await using trap = await ProxyTrap.open();
    const options = {
      cwd: checkout,
      mark: 'demo',
      patienceMs: PATIENCE_MS,
      env: trap.environment(PROXY_VARIABLES),
    };
    await using demo = new Program(['bun', 'examples/host.ts', '--once'], options);
    const { code } = await demo.ended();
    expect({ code, seen: trap.seen }, demo.output).toEqual({ code: 0, seen: [] });
  },
  PATIENCE_MS,
);
