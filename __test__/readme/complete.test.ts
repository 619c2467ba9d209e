// The tables of the guides are complete, and the reference's defaults and ranges are those of the
// code.
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRuntime, type RuntimeOptions } from '@absolutejs/runtime';
import { readOptions } from '../../lib/options.js';
import { textOf } from '../support/readme/pages.ts';
import { checkout } from '../support/readme/project.ts';

const reference = textOf('docs/reference.md');
const types = readFileSync(join(checkout, 'index.d.ts'), 'utf8');

/** The text of a type's declaration. */
function declaration(name: string): string {
  const [, text] = new RegExp(`^export type ${name} =([^]*?);\\n(?=\\n|$)`, 'm').exec(types)!;
  return text!.replaceAll(/\/\*\*[^]*?\*\//g, '');
}
const members = (name: string) =>
  [...declaration(name).matchAll(/^  (\w+)\??:/gm)].map(([, member = '']) => member);
const words = (name: string) =>
  [...declaration(name).matchAll(/'([\w-]+)'/g)].map(([, word = '']) => word);

/** From a heading to the next of its level or above. */
function section(heading: string): string {
  const level = heading.indexOf(' ');
  const [, text] = new RegExp(`^${heading}\\n([^]*?)\\n#{1,${level}} `, 'm').exec(reference)!;
  return text!;
}
const cells = (text: string) =>
  text.split('\n').map((line) => /^\| (`.*?`) \|/.exec(line)?.[1] ?? '');

test('every error code says what to do', () => {
  const explained = cells(textOf('docs/errors.md')).map((cell) => cell.replaceAll('`', ''));
  const codes = explained.filter((cell) => /^ERR_\w+$/.test(cell));
  expect(codes.sort()).toEqual(words('RuntimeErrorCode').sort());
});

test('every option has its row', () => {
  const described = cells(section('## Options')).flatMap((cell) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name!),
  );
  expect(described.sort()).toEqual(members('RuntimeOptions').sort());
});

test('every member of a runtime is described', () => {
  const described = cells(section('## Runtime')).flatMap((cell) =>
    [...cell.matchAll(/`(\w+)\(/g)].map(([, name]) => name!),
  );
  expect(described.sort()).toEqual(members('Runtime').sort());
});

test.each([
  ['ExitReason', '## Exit reasons'],
  ['TenantState', '## States'],
])('every %s has its row', (name, heading) => {
  const described = cells(section(heading)).map((cell) => cell.replaceAll('`', ''));
  expect(described.filter((cell) => cell !== '' && cell !== 'reason').sort()).toEqual(
    words(name).sort(),
  );
});

test('every exit reason says why, and what to do', () => {
  const [, text = ''] = /^## Tenants go\n([^]*?)\n## /m.exec(textOf('docs/troubleshooting.md'))!;
  const told = [...text.matchAll(/^\| (.*?) \|/gm)].flatMap(([, cell = '']) =>
    words('ExitReason').filter((reason) => cell.includes(`\`${reason}\``)),
  );
  expect([...new Set(told)].sort()).toEqual(words('ExitReason').sort());
});

test('every event has its row', () => {
  const told = [...section('## Events').matchAll(/type: "([\w-]+)"/g)].map(([, type]) => type!);
  const types = ['RuntimeMetricEvent', 'RuntimeTransitionEvent'].flatMap((name) =>
    [...declaration(name).matchAll(/type: '([\w-]+)'/g)].map(([, type]) => type!),
  );
  expect(told.sort()).toEqual(types.sort());
});

const source = { kind: 'directory', root: './tenants' } as const;
const driver = Object.fromEntries(
  ['checkpoint', 'restore', 'drop', 'has'].map((name) => [name, () => {}]),
);

/** Options with one of them set, which may be within another: `backoff.baseMs`. */
function withOption(path: string, value: unknown): RuntimeOptions {
  const [outer = '', inner] = path.split('.');
  const within = outer === 'checkpoint' ? { driver } : {};
  const given = inner === undefined ? value : { ...within, [inner]: value };
  return { source, [outer]: given } as unknown as RuntimeOptions;
}

function isTaken(path: string, value: number): boolean {
  try {
    createRuntime(withOption(path, value));
    return true;
  } catch {
    return false;
  }
}

/** The rows of options that are numbers: name, default, range. */
const NUMBER = /^\| `([\w.]+)` \| \w+ \| (.*?) \| (any|whole|at least) ?(.*?) \|/gm;
const numbers = [...section('## Options').matchAll(NUMBER)].map(
  ([, path = '', byDefault = '', kind, rest]) => ({
    path,
    byDefault: /^[\d ]+$/.test(byDefault) ? Number(byDefault.replaceAll(' ', '')) : undefined,
    isWhole: kind === 'whole',
    least: kind === 'any' ? -Infinity : Number(/\d+/.exec(`${rest}`)),
  }),
);

test('options that are numbers are known by their rows', () => {
  expect(numbers.length).toBeGreaterThanOrEqual(12);
});

test.each(numbers)(
  '$path has the default and the range that its row says',
  ({ path, byDefault, isWhole, least }) => {
    const [outer = '', inner] = path.split('.');
    if (byDefault !== undefined) {
      const isWithin = ['checkpoint', 'sleep'].includes(outer);
      const given = isWithin ? withOption(path, undefined) : { source };
      const setting = (readOptions(given) as Record<string, any>)[outer];
      expect(inner === undefined ? setting : setting[inner]).toBe(byDefault);
    }
    const lowest = least === -Infinity ? -1 : least;
    expect(isTaken(path, lowest)).toBeTrue();
    expect(isTaken(path, Infinity)).toBeTrue();
    if (least > -Infinity) expect(isTaken(path, least - 1)).toBeFalse();
    expect(isTaken(path, lowest + 0.5)).toBe(!isWhole);
  },
);
