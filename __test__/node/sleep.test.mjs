import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRuntime } from '@absolutejs/runtime';
import { PATH, tenantsOnDisk, within } from '../support/surface/node.mjs';

const SERVER = `
Bun.serve({ hostname: '127.0.0.1', port: process.env.PORT, fetch: () => new Response('hello') });`;

test(
  'a tenant falls asleep, and wakes as the same process',
  { timeout: 120_000 },
  async (context) => {
    const root = tenantsOnDisk(context, { a: { 'server.ts': SERVER } });
    /** @type {Map<string, (event: any) => void>} */
    const waiting = new Map();
    const next = (/** @type {string} */ type) =>
      /** @type {Promise<any>} */ (new Promise((resolve) => waiting.set(type, resolve)));
    let questions = 0;
    const runtime = createRuntime({
      source: { kind: 'directory', root },
      command: ['bun', 'server.ts'],
      env: { PATH },
      sweepIntervalMs: 50,
      sleep: {
        ...{ afterMs: 150, pageOutAfterMs: 0, minAwakeMs: 0 },
        shouldSleep: ({ key, tenant }) => {
          assert.deepEqual([key, tenant.key], ['a', 'a']);
          // Once, so that it stays awake after that.
          return ++questions === 2;
        },
      },
      onTransition: (event) => waiting.get(event.type)?.(event),
    });
    try {
      const asleep = next('sleep');
      const tenant = await within('ready', runtime.ensure('a'));
      const { depth, pid } = await within('sleep', asleep);
      assert.deepEqual([depth, pid], ['frozen', tenant.pid]);
      assert.equal(questions, 2);
      assert.equal(runtime.inspect('a')?.state, 'asleep');
      const woken = next('wake');
      assert.equal(await within('ensure', runtime.ensure('a')), tenant);
      assert.equal((await within('wake', woken)).pid, tenant.pid);
      const response = await fetch(`http://127.0.0.1:${tenant.port}/`);
      assert.equal(await response.text(), 'hello');
      assert.equal(runtime.metrics().sleep.wakes, 1);
    } finally {
      await runtime.dispose();
    }
  },
);
