// What README.md has tables of is all there.
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkout } from '../support/readme/project.ts';

const readme = readFileSync(join(checkout, 'README.md'), 'utf8');
const types = readFileSync(join(checkout, 'index.d.ts'), 'utf8');

/** The text of a type's declaration. */
function declaration(name: string): string {
  const [, text] = new RegExp(`^export type ${name} =([^]*?);\\n(?=\\n|$)`, 'm').exec(types)!;
  return text!.replaceAll(/\/\*\*[^]*?\*\//g, '');
}
const members = (name: string) =>
  [...declaration(name).matchAll(/^  (\w+)\??:/gm)].map(([, member = '']) => member);
const words = (name: string) => [...declaration(name).matchAll(/'([\w-]+)'/g)].map(([, word = '']) => word);

/** From a heading to the next of its level or above. */
function section(heading: string): string {
  const level = heading.indexOf(' ');
  const [, text] = new RegExp(`^${heading}\\n([^]*?)\\n#{1,${level}} `, 'm').exec(readme)!;
  return text!;
}
const cells = (text: string) => text.split('\n').map((line) => /^\| (`.*?`) \|/.exec(line)?.[1] ?? '');

test('every error code says what to do', () => {
  const explained = cells(section('## Errors, and what to do')).map((cell) => cell.replaceAll('`', ''));
  expect(explained.filter(Boolean).sort()).toEqual(words('RuntimeErrorCode').sort());
});

test('every option has its row', () => {
  const described = cells(section('### Options')).flatMap((cell) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name!),
  );
  expect(described.sort()).toEqual(members('RuntimeOptions').sort());
});

test('every member of a runtime is described', () => {
  const described = cells(section('### Runtime')).flatMap((cell) =>
    [...cell.matchAll(/`(\w+)\(/g)].map(([, name]) => name!),
  );
  expect(described.sort()).toEqual(members('Runtime').sort());
});

test.each(['ExitReason', 'TenantState'])('every %s is named', (name) => {
  const reference = section('## Reference');
  for (const word of words(name)) expect(reference).toContain(`\`${word}\``);
});
