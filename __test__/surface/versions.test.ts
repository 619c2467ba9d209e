import { expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dir, '..', '..');
const read = (name: string) => readFileSync(join(root, name), 'utf8');
const { version } = JSON.parse(read('package.json'));

test('platform packages and crates have the version of the package', () => {
  for (const name of readdirSync(join(root, 'npm'))) {
    expect(JSON.parse(read(`npm/${name}/package.json`)).version).toBe(version);
  }
  expect(read('Cargo.toml')).toContain(`\nversion = "${version}"\n`);
});

test('the changelog tells of this version, newest first', () => {
  const headings = [...read('CHANGELOG.md').matchAll(/^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$/gm)];
  const [unreleased, latest] = headings;
  expect(unreleased?.[1]).toBe('Unreleased');
  expect(unreleased?.[2]).toBeUndefined();
  expect(latest?.[1]).toBe(version);
  const dates = headings.slice(1).map((heading) => heading[2] ?? 'no date');
  expect(dates).not.toContain('no date');
  expect(dates).toEqual(dates.toSorted().toReversed());
});
