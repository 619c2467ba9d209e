// The links of pages, and the files and tests that they name, exist.
import { expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { pages, textOf } from '../support/readme/pages.ts';
import { checkout } from '../support/readme/project.ts';

const others = ['ARCHITECTURE.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md'];

/** The text of a page without code and comments. */
const proseOf = (page: string) => textOf(page).replaceAll(/<!--[^]*?-->|^ *(```+)[^]*?^ *\1/gm, '');

/** The anchors that GitHub gives to the headings of a page. */
function anchorsOf(page: string): Set<string> {
  const seen = new Map<string, number>();
  const anchors = new Set<string>();
  for (const [, heading = ''] of proseOf(page).matchAll(/^#{1,6} (.+)$/gm)) {
    const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').trim();
    const anchor = text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '')
      .replaceAll(' ', '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    anchors.add(before === 0 ? anchor : `${anchor}-${before}`);
  }
  return anchors;
}

/** What is wrong with a page's links to files of the project, or to places in them. */
function deadLinksOf(page: string): string[] {
  const targets = [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? page : normalize(join(dirname(page), path));
    if (file.startsWith('..') || !existsSync(join(checkout, file))) return true;
    return anchor !== undefined && !(file.endsWith('.md') && anchorsOf(file).has(anchor));
  });
}

test.each([...pages, ...others])(
  'every link of %s leads to a file, and to a heading of it',
  (page) => {
    expect(deadLinksOf(page)).toEqual([]);
  },
);

test('the README leads to every guide', () => {
  const linked = [...proseOf('README.md').matchAll(/\]\((docs\/[\w-]+\.md)[)#]/g)].map(
    ([, page = '']) => page,
  );
  expect([...new Set(linked)].sort()).toEqual(pages.filter((page) => page !== 'README.md'));
});

test('the README is an entrance: 250 lines at most', () => {
  expect(textOf('README.md').trimEnd().split('\n').length).toBeLessThanOrEqual(250);
});

test("a host of one's own with everything that `serve` has takes 30 lines at most", () => {
  const [, host = ''] = /```js\n(\/\/ host\.mjs\n[^]*?)```/.exec(textOf('README.md')) ?? [];
  for (const part of [
    'createGateway',
    'createControl',
    'dashboard',
    'Collector',
    'limits',
    'isolation',
  ])
    expect(host).toContain(part);
  expect(host.trimEnd().split('\n').length).toBeLessThanOrEqual(30);
});

const exists = (path: string) =>
  ['', '.rs', '.test.ts', '.test.mjs'].some((ending) => existsSync(join(checkout, path + ending)));

function filesBelow(directory: string): string[] {
  return readdirSync(join(checkout, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.rs'))
    .map((name) => readFileSync(join(checkout, directory, name), 'utf8'));
}

const simulation = filesBelow('crates/pool/tests/simulation').join('\n');
const TESTS_OF_PROCESSES = '__test__/processes';

/** Whether a name in backticks is that of a file or of a test, and there is none. */
function isMissing(name: string): boolean {
  if (/^(?:__test__|crates|src|lib|scripts|docs|soak|fuzz)\/[\w./-]+$/.test(name))
    return !exists(name);
  if (/^[a-z]+(?:-[a-z0-9]+){3,}$/.test(name)) return !exists(`${TESTS_OF_PROCESSES}/${name}`);
  if (exists(`fuzz/targets/${name}`)) return false;
  if (/^[a-z]+(?:_[a-z]+){2,}$/.test(name) && !name.startsWith('absolute_'))
    return !new RegExp(`\\bfn ${name}\\b`).test(simulation);
  return false;
}

const pagesOfTests = ['ARCHITECTURE.md', 'docs/guarantees.md', 'docs/reliability.md'];
test.each(pagesOfTests)('every file and test that %s names exists', (page) => {
  const names = [...proseOf(page).matchAll(/`([^`\s]+)`/g)].map(([, name = '']) => name);
  expect(names.filter((name) => /[-_]/.test(name)).length).toBeGreaterThan(15);
  expect(names.filter(isMissing)).toEqual([]);
});
