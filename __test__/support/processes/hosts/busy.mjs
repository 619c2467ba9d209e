// Has a tenant running, asks for more of them, and then looks for what these have written without
// ever giving its event loop a turn. Arguments: root, options of the runtime as JSON, and the keys.
// Each tenant writes its environment to `env.txt`.
import { createRuntime } from '@absolutejs/runtime';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { say } from './words.mjs';

const PATIENCE_MS = 20_000;
const [root = '', options = '{}', first = '', ...keys] = process.argv.slice(2);
const fileOf = (/** @type {string} */ key) => join(root, key, 'env.txt');
const sleeper = new Int32Array(new SharedArrayBuffer(4));

const runtime = createRuntime({ source: { kind: 'directory', root }, ...JSON.parse(options) });
await runtime.ensure(first);
process.env.TZ = 'Europe/Rome';
delete process.env.LC_TIME;
const asked = Promise.all(keys.map((key) => runtime.ensure(key)));
const untilMs = performance.now() + PATIENCE_MS;
while (!keys.map(fileOf).every(existsSync) && performance.now() < untilMs)
  Atomics.wait(sleeper, 0, 0, 10);
const seen = keys.map((key) =>
  existsSync(fileOf(key)) ? readFileSync(fileOf(key), 'utf8') : null,
);
say('seen', { before: readFileSync(fileOf(first), 'utf8'), seen });
await asked;
await runtime.dispose();
say('disposed');
