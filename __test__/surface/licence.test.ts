import { expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dir, '..', '..');
const read = (name: string) => readFileSync(join(root, name), 'utf8');
const LICENCE = read('LICENSE');
const platformPackages = readdirSync(join(root, 'npm')).map((name) => `npm/${name}/package.json`);

test.each(['package.json', ...platformPackages])(
  '%s is under the Business Source License 1.1',
  (name) => {
    expect(JSON.parse(read(name)).license).toBe('BUSL-1.1');
  },
);

test('the crates are under the same', () => {
  const [, workspace] = /^\[workspace\.package\]\n((?:.+\n)+)/m.exec(read('Cargo.toml'))!;
  expect(workspace).toContain('\nlicense = "BUSL-1.1"\n');
  const manifests = [
    'Cargo.toml',
    ...readdirSync(join(root, 'crates')).map((name) => `crates/${name}/Cargo.toml`),
  ];
  for (const manifest of manifests)
    expect(read(manifest)).toContain('\nlicense.workspace = true\n');
});

/** A parameter of the licence: it begins at the margin, and its further lines are indented. */
function parameter(name: string): string {
  const [, text] = new RegExp(`^${name}:((?:.*\\n)(?:(?: .*)?\\n)*?)(?=\\S)`, 'm').exec(LICENCE)!;
  return text!.trim().replaceAll(/\s+/g, ' ');
}

test('LICENSE is the licence with all of its parameters', () => {
  expect(LICENCE).toStartWith('Business Source License 1.1\n');
  const { author = 'AbsoluteJS' } = JSON.parse(read('package.json'));
  expect(parameter('Licensor')).toBe(author.name ?? author);
  expect(parameter('Licensed Work')).toStartWith('@absolutejs/runtime, version 0.1.0 and later');
  expect(parameter('Change License')).toBe('Apache License, Version 2.0');
  const grant = parameter('Additional Use Grant');
  expect(grant).toStartWith(
    'You may make production use of the Licensed Work, provided that you do not offer',
  );
  expect(grant).toContain('hosted multi-tenant Bun runtimes');
  expect(grant).toContain('platform-as-a-service substrates');
});

test('the change date is four years after the first release', () => {
  const [, year, day] = /^## \[0\.1\.0\] - (\d{4})(-\d\d-\d\d)$/m.exec(read('CHANGELOG.md'))!;
  expect(parameter('Change Date')).toBe(`${Number(year) + 4}${day}`);
});

test('the terms are complete', () => {
  for (const heading of ['Parameters', 'Terms', 'Covenants of Licensor'])
    expect(LICENCE).toContain(`\n${heading}\n`);
  expect(LICENCE).toEndWith('4. Not to modify this License in any other way.\n');
});
