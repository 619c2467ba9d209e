/**
 * A tenant that does what it is asked to, and answers with what became of it: `ok`, or the error's
 * code. Attempts that could end this process, or stay with it, are made by a child.
 */
import { existsSync } from 'node:fs';
import { files } from './files.ts';
import { kernel } from './kernel.ts';
import { processes } from './processes.ts';
import { sockets } from './sockets.ts';
import { usage } from './usage.ts';

const attempts = { ...files, ...kernel, ...processes, ...sockets, ...usage };

export type Attempts = typeof attempts;
export type AttemptName = keyof Attempts;
export type Ask = { attempt: AttemptName; args: unknown[]; isChilds?: boolean };
/** `detail` is what the attempt has found, or the whole error. */
export type Outcome = { outcome: string; detail: string };

async function outcomeOf({ attempt, args, isChilds }: Ask): Promise<Outcome> {
  if (isChilds) return outcomeOfChild({ attempt, args });
  try {
    const act = attempts[attempt] as (...args: unknown[]) => unknown;
    return { outcome: 'ok', detail: String((await act(...args)) ?? '') };
  } catch (error) {
    const { code } = error as { code?: string };
    return { outcome: code ?? 'error', detail: String(error) };
  }
}

/** The signal is the outcome of one that was killed. */
function outcomeOfChild(ask: Ask): Outcome {
  const command = [process.execPath, import.meta.path, JSON.stringify(ask)];
  const { stdout, stderr, signalCode } = Bun.spawnSync(command);
  if (signalCode) return { outcome: String(signalCode), detail: '' };
  const text = stdout.toString();
  return text ? JSON.parse(text) : { outcome: 'error', detail: stderr.toString() };
}

const [, , ask] = process.argv;
if (ask !== undefined) {
  console.log(JSON.stringify(await outcomeOf(JSON.parse(ask))));
  process.exit();
}

// A test can hold up the start.
while (existsSync('wait')) await Bun.sleep(5);
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  idleTimeout: 0,
  async fetch(request) {
    if (request.method !== 'POST') return new Response('ready');
    return Response.json(await outcomeOf((await request.json()) as Ask));
  },
});
