/** The pages whose code blocks are run: README.md and the guides in docs/. */
import { readdirSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { program as etcd } from '../etcd.ts';
import { type Block, parseBlocks } from './blocks.ts';
import { MarkdownDocument } from './document.ts';
import { binDirectory, checkout } from './project.ts';

const README = 'README.md';

/** Their paths in the checkout. */
export const pages: readonly string[] = [
  README,
  ...readdirSync(join(checkout, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `docs/${name}`),
];

export const textOf = (page: string) => readFileSync(join(checkout, page), 'utf8');

const OF_FLEETS = 'docs/fleet.md';

/** Whether a page's commands need a program that cannot be had here. */
export const lacksPrograms = (page: string) => page === OF_FLEETS && etcd === undefined;

/** Where a page finds the etcd that is not installed. */
function pathFor(page: string): NodeJS.ProcessEnv {
  if (page !== OF_FLEETS || !etcd?.includes('/')) return {};
  return { PATH: [dirname(etcd), binDirectory, process.env.PATH].join(delimiter) };
}

/** A page as a document that can be run; `more` is put below its text. */
export function openPage(
  page: string,
  { more = '', env = {} as NodeJS.ProcessEnv } = {},
): MarkdownDocument {
  const text = textOf(page);
  const given = page === README ? [] : filesNamedBy(text, parseBlocks(textOf(README)));
  return new MarkdownDocument(text + more, { env: { ...pathFor(page), ...env }, given });
}

/**
 * The README's files that a guide names in backticks, or whose directory it names. Other files do
 * not exist for the guide, so it cannot use what it does not mention.
 */
export function filesNamedBy(text: string, blocks: readonly Block[]): Block[] {
  const prose = text.replaceAll(/<!--[^]*?-->|^ *```[^]*?^ *```/gm, '');
  const named = [...prose.matchAll(/`([\w./-]+)`/g)].map(([, name = '']) =>
    name.replace(/\/$/, ''),
  );
  return blocks.filter(({ file }) =>
    named.some((name) => file === name || file?.startsWith(`${name}/`)),
  );
}
