// The check of which part may import which reads imports as the engines do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importsIn } from '../../scripts/lib/arrows.mjs';

test('imports are found anywhere in a file, and imports of types do not count', () => {
  const source = `
import { a } from './a.js';
import {
  b,
} from '../b.js';
import * as c from './c.js';
export { d } from './d.js';
import './e.js';
const f = () => import('#f');
import { readFileSync } from 'node:fs';
/** @typedef {import('./types.js').Type} Type */
// import './comment.js';
`;
  assert.deepEqual(importsIn(source), ['./a.js', '../b.js', './c.js', './d.js', './e.js', '#f']);
});
