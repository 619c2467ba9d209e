import { expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { open } from '../support/dashboard/house.ts';

const PAGE = new URL('../../lib/dashboard/page/', import.meta.url);
const names = readdirSync(PAGE).filter((name) => !name.endsWith('.d.ts'));
const paths = names.map((name) => (name === 'index.html' ? '/' : `/page/${name}`));

test('all of its files together are no more than 60 KB', async () => {
  await using house = await open();
  let sum = 0;
  for (const path of paths) {
    const { headers } = await house.ask(path, { headers: { 'accept-encoding': 'gzip, br' } });
    expect(headers['content-encoding']).toBe('br');
    sum += Number(headers['content-length']);
  }
  expect(sum).toBeGreaterThan(1_000);
  expect(sum).toBeLessThanOrEqual(60_000);
});

test('a file is sent as the client takes it', async () => {
  await using house = await open();
  const plain = readFileSync(new URL('main.js', PAGE), 'utf8');
  const as = async (encoding: string) =>
    house.ask('/page/main.js', { headers: { 'accept-encoding': encoding } });
  const bytes = ({ text }: { text: string }) => Buffer.from(text, 'latin1');
  expect(brotliDecompressSync(bytes(await as('br'))).toString()).toBe(plain);
  expect(gunzipSync(bytes(await as('deflate, gzip'))).toString()).toBe(plain);
  expect(gunzipSync(bytes(await as('br;q=0, gzip'))).toString()).toBe(plain);
  const identity = await as('identity');
  expect(identity.headers['content-encoding']).toBeUndefined();
  expect(bytes(identity).toString()).toBe(plain);
  expect(identity.headers.vary).toBe('accept-encoding');
});

test('a file that the browser has is not sent again', async () => {
  await using house = await open();
  for (const path of paths) {
    const first = await house.ask(path);
    const { etag = '' } = first.headers;
    expect(etag).toMatch(/^"[\w-]{43}"$/);
    const again = await house.ask(path, { headers: { 'if-none-match': `"x", ${etag}` } });
    expect([again.status, again.text]).toEqual([304, '']);
  }
});

test('every module and style sheet is asked for at once, and the page names no other', () => {
  const html = readFileSync(new URL('index.html', PAGE), 'utf8');
  const files = names.filter((name) => /\.(?:js|css|svg)$/.test(name));
  const named = [...html.matchAll(/\/page\/([\w-]+\.\w+)/g)].map(([, name]) => name);
  expect(named.toSorted()).toEqual(files.toSorted());
});

test('no file has markup that runs, or speaks to another place', () => {
  for (const name of names) {
    const text = readFileSync(new URL(name, PAGE), 'utf8').replaceAll(
      'http://www.w3.org/2000/svg',
      '',
    );
    expect(text).not.toMatch(
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function/,
    );
    expect(text).not.toMatch(/https?:\/\//);
    expect(text).not.toMatch(/\sstyle="|<style|\son[a-z]+="/);
  }
});
