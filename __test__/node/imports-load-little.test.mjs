// An import of the runtime and of the gateway costs hosts time at each start: `node:net` alone takes
// Bun 7 ms.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { test } from 'node:test';
import { ipVersion } from '../../lib/checks.js';

for (const bundle of ['index', 'tenancy', 'gateway']) {
  test(`the bundle ${bundle}.js loads nothing of node: but node:module`, () => {
    const text = readFileSync(new URL(`../../dist/${bundle}.js`, import.meta.url), 'utf8');
    const loaded = [...text.matchAll(/^import .*?["'](node:[^"']+)["'];?$/gm)].map(([, of]) => of);
    assert.deepEqual(
      loaded.filter((of) => of !== 'node:module'),
      [],
    );
  });
}

test('addresses are told from other texts as node:net does', () => {
  const parts = ['', '0', '1', '01', '255', '256', ':', '::', '.', 'f', 'ffff', '10000', '1.2.3.4'];
  let seed = 1;
  /** @param {number} below */
  const random = (below) => (seed = (seed * 48_271) % 0x7fff_ffff) % below;
  const seen = new Set();
  for (let round = 0; round < 50_000; round += 1) {
    const separator = ['', '.', ':'][random(3)];
    const text = Array.from({ length: 1 + random(9) }, () => parts[random(parts.length)]).join(
      separator,
    );
    assert.equal(ipVersion(text), isIP(text), JSON.stringify(text));
    seen.add(isIP(text));
  }
  assert.deepEqual([...seen].sort(), [0, 4, 6]);
  for (const text of [
    'fe80::1',
    '::',
    '::ffff:10.0.0.1',
    '1:2:3:4:5:6:7::',
    '127.0.0.1',
    'a.b',
    '[::1]',
  ])
    assert.equal(ipVersion(text), isIP(text), text);
});
