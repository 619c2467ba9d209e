// With HTTP_PROXY or the like, Bun's `fetch` uses the proxy even for 127.0.0.1: requests to
// tenants, cookies included, would go to it. The examples of README.md and the guides, and the
// demo, must avoid that.
import { expect, test } from 'bun:test';
import type { Block } from '../support/readme/blocks.ts';
import { openPage, pages } from '../support/readme/pages.ts';
import { Program } from '../support/readme/program.ts';
import { checkout } from '../support/readme/project.ts';
import { PROXY_VARIABLES, ProxyTrap } from '../support/readme/proxy-trap.mjs';

const PATIENCE_MS = 120_000;

/**
 * Runs the selected blocks of a page with a proxy in the environment. Returns what the proxy got.
 */
async function asked(
  page: string,
  names: readonly string[],
  isMeant: (block: Block) => boolean,
): Promise<string[]> {
  await using trap = await ProxyTrap.open();
  using document = openPage(page, { env: trap.environment(names) });
  const meant = document.blocks.filter((block) => block.run && isMeant(block));
  expect(meant.length).toBeGreaterThan(0);
  for (const block of meant) await document.execute(block);
  return trap.seen;
}

const isHost = ({ code }: Block) => code.startsWith('// host.mjs');
const isRouter = ({ code, run }: Block) => run === 'bun' && code.includes("from './proxy.ts'");
const isSocketRouter = ({ code, run }: Block) =>
  run === 'bun' && code.includes("from './sockets.ts'");

for (const name of PROXY_VARIABLES) {
  test(
    `the host and the routers ask no proxy: ${name}`,
    async () => {
      const inReadme = (block: Block) => isHost(block) || isRouter(block);
      expect(await asked('README.md', [name], inReadme)).toEqual([]);
      expect(await asked('docs/routing.md', [name], isSocketRouter)).toEqual([]);
    },
    PATIENCE_MS,
  );
}

/** Selects blocks that send requests, and the commands that create what these use. */
const asksTenants = ({ code }: Block) =>
  /\bforward\(|\bfetch\(`http:\/\/127|fetch\(`\$\{lokiUrl|^mkdir/.test(code);

function hasMore(page: string): boolean {
  using document = openPage(page);
  return document.blocks.some((block) => block.run && asksTenants(block));
}

test.each(pages.filter((page) => page !== 'README.md' && hasMore(page)))(
  'neither does any other example that asks something on this machine: %s',
  async (page) => expect(await asked(page, PROXY_VARIABLES, asksTenants)).toEqual([]),
  PATIENCE_MS,
);

test(
  'the demo uses no proxy',
  async () => {
    await using trap = await ProxyTrap.open();
    const mark = `demo-${crypto.randomUUID()}`;
    const options = {
      cwd: checkout,
      mark,
      patienceMs: PATIENCE_MS,
      env: trap.environment(PROXY_VARIABLES),
    };
    await using demo = new Program(['bun', 'examples/demo/once.ts'], options);
    const { code } = await demo.ended();
    expect({ code, seen: trap.seen }, demo.output).toEqual({ code: 0, seen: [] });
  },
  PATIENCE_MS,
);
