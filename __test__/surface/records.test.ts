import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT_REASONS, FAILURE_KINDS, RECORDS, REFUSALS, TENANT_STATES } from '../../lib/bridge/batch.js';

const records = readFileSync(join(import.meta.dir, '../../src/records.rs'), 'utf8');
const inCamelCase = (name: string) => name.slice(0, 1).toLowerCase() + name.slice(1);
const inKebabCase = (name: string) =>
  inCamelCase(name).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

test.each([
  ['Kind', RECORDS],
  ['RefusalKind', REFUSALS],
] as [string, string[]][])('%s in Rust and the list in JavaScript are the same', (name, list) => {
  const [, body] = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(records)!;
  const names = [...body!.matchAll(/^ +(\w+),$/gm)].map(([, variant]) => inCamelCase(variant!));
  expect(names).toEqual(list);
});

test.each([
  ['ExitReason', EXIT_REASONS],
  ['Phase', TENANT_STATES],
] as [string, string[]][])('the numbers of %s are places in the list in JavaScript', (name, list) => {
  const numbers = [...records.matchAll(new RegExp(`${name}::(\\w+) => (\\d+)\\.0`, 'g'))];
  expect(numbers.map(([, variant]) => inKebabCase(variant!))).toEqual(list);
  expect(numbers.map(([, , number]) => Number(number))).toEqual(
    list.map((_: string, place: number) => place),
  );
});

test('every kind of failure has a place in the list in JavaScript', () => {
  const numbers = [...records.matchAll(/Failure::[^=]*=> \((\d+)\.0/g)].map(([, number]) => Number(number));
  expect(numbers).toEqual(FAILURE_KINDS.map((_: string, place: number) => place));
});
