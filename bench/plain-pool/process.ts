// Starting a tenant's process and passing its output on line by line.
import type { RuntimeLogEvent, RuntimeProcess } from '@absolutejs/runtime';

/** How long output is still read after the process ended: a child of it may hold the pipe open. */
const LAST_OUTPUT_MS = 500;

interface SpawnCommand {
  key: string;
  command: readonly string[];
  cwd: string;
  env: Record<string, string>;
  onLogLine: (event: RuntimeLogEvent) => void;
}

/** A port that is free now. Another process may take it before the tenant does. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

export function spawnCommand({ key, command, cwd, env, onLogLine }: SpawnCommand): RuntimeProcess {
  const child = Bun.spawn([...command], {
    cwd,
    env,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const { pid } = child;
  const passOn = (stream: 'stdout' | 'stderr') =>
    forEachLine(child[stream], (line) => onLogLine({ key, pid, stream, line, at: Date.now() }));
  const output = Promise.all([passOn('stdout'), passOn('stderr')]);
  const exited = child.exited.then(async () => {
    await Promise.race([output, Bun.sleep(LAST_OUTPUT_MS)]);
    return child.exitCode;
  });
  return { pid, exited, kill: (signal = 'SIGTERM') => child.kill(signal) };
}

async function forEachLine(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line.replace(/\r$/, ''));
  }
  rest += decoder.decode();
  if (rest !== '') onLine(rest);
}
