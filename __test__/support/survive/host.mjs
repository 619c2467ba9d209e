// A host whose tenants outlive it, in Bun or Node. It tells everything that it is told, a line of
// JSON for each, written at once, so that nothing is lost when it is killed; and it does what it is
// asked by lines: `{ "id": 1, "do": "ensure", "args": ["a"] }`.
// Argument: { root, options, gateway? } as JSON.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createRuntime } from '@absolutejs/runtime';
import { createGateway } from '@absolutejs/runtime/gateway';

const { root, options, gateway: gatewayOptions } = JSON.parse(process.argv[2] ?? '{}');

/** @param {object} value */
function tell(value) {
  const line = Buffer.from(`${JSON.stringify(value)}\n`);
  for (let at = 0; at < line.length;) {
    try {
      at += writeSync(1, line, at);
    } catch (error) {
      if (Reflect.get(Object(error), 'code') !== 'EAGAIN') throw error;
    }
  }
}

/** @param {any} error */
const asJson = ({ code, message, pid, version }) => ({ code, message, pid, version });

const runtime = createRuntime({
  source: { kind: 'directory', root },
  observeIntervalMs: 50,
  onTransition(event) {
    tell({ of: 'transition', event });
    if (event.type === 'exit' && diesAtExit) {
      acts.block?.(20);
      setImmediate(() => process.kill(process.pid, 'SIGKILL'));
    }
  },
  onMetrics: (event) => tell({ of: 'metric', event }),
  onLog: (event) => tell({ of: 'log', event }),
  ...options,
});
const gateway =
  gatewayOptions &&
  createGateway({ runtime, route: { by: 'subdomain', domain: 'localhost' }, ...gatewayOptions });
gateway?.listening.then(
  (/** @type {unknown} */ addresses) => tell({ of: 'listening', addresses }),
  (/** @type {unknown} */ error) => tell({ of: 'listening', error: asJson(error) }),
);
runtime.recovered.then(
  () => tell({ of: 'recovered', at: Date.now() }),
  (error) => tell({ of: 'recovered', error: asJson(error) }),
);

/** @type {Buffer[]} */
const heap = [];
let diesAtExit = false;

/** @type {Record<string, (...args: any[]) => unknown>} */
const acts = {
  .../** @type {any} */ (runtime),
  replace: runtime.replace,
  detach: runtime.detach,
  gatewayStats: () => gateway?.stats(),
  /** Holds the thread, as a busy program does. @param {number} ms */
  block(ms) {
    const until = performance.now() + ms;
    while (performance.now() < until);
  },
  /** Leaves with all that has come meanwhile still to be told. @param {number} ms */
  leaveAfterBlock(ms) {
    this.block?.(ms);
    return runtime.detach();
  },
  /** Has memory that takes the kernel long to free. @param {number} bytes */
  grow: (bytes) => void heap.push(Buffer.alloc(bytes, 1)),
  exit: (code) => process.exit(code),
  /** Once an exit is told it is killed, before anything else can be. */
  dieAtExit: () => void (diesAtExit = true),
};

const input = createInterface(process.stdin);
input.on('line', async (line) => {
  const { id, do: name, args } = JSON.parse(line);
  try {
    tell({ of: 'answer', id, value: await acts[name]?.(...args) });
  } catch (error) {
    tell({ of: 'answer', id, error: asJson(error) });
  }
});
