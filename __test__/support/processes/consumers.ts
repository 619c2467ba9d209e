/** Tenants that use up what they are told to, and whether this host can bound them. */
import { createRuntime, type RuntimeOptions } from '@absolutejs/runtime';
import { accessSync, constants, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { Tenants } from './tenants.ts';

/** Uses up what the path says: `/memory?n=…` bytes, and so on. Answers with what it got. */
const CONSUMER = `
import { closeSync, openSync, statSync, writeFileSync } from 'node:fs';
const held = [];
const uses = {
  '/memory': (bytes) => held.push(new Uint8Array(bytes).fill(1)),
  '/descriptors'(most) {
    const open = [];
    try {
      while (open.length < most) open.push(openSync('/dev/null'));
    } catch (error) {
      return { got: open.length, code: error.code };
    } finally {
      open.forEach((one) => closeSync(one));
    }
    return { got: open.length };
  },
  '/file'(bytes) {
    try {
      writeFileSync('file', Buffer.alloc(bytes));
    } catch (error) {
      return { got: statSync('file').size, code: error.code };
    }
    return { got: statSync('file').size };
  },
  '/processes'(most) {
    for (let got = 0; got < most; got++) {
      try {
        held.push(Bun.spawn(['sleep', '1000']));
      } catch (error) {
        return { got, code: error.code };
      }
    }
    return { got: most };
  },
  /** The part of a processor that it has for so many milliseconds. */
  '/processor'(ms) {
    const [from, before] = [performance.now(), process.cpuUsage()];
    while (performance.now() - from < ms);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000 / (performance.now() - from);
  },
};
Bun.serve({
  port: Number(process.env.PORT),
  fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    return Response.json(uses[pathname]?.(Number(searchParams.get('n'))) ?? 'hello');
  },
});
`;

export const addConsumer = (tenants: Tenants, key: string, start?: string): Tenants =>
  tenants.add(key, { start, 'server.ts': CONSUMER });

/** Has the tenant use so much. */
export async function use(
  { port }: { port: number },
  what: 'memory' | 'descriptors' | 'file' | 'processes' | 'processor' | '',
  n = 0,
): Promise<any> {
  return (await fetch(`http://127.0.0.1:${port}/${what}?n=${n}`)).json();
}

/** Whether this host can keep what these options ask for. */
export async function canKeep(options: Partial<RuntimeOptions>): Promise<boolean> {
  try {
    const source = { kind: 'directory', root: tmpdir() } as const;
    await createRuntime({ source, ...options }).dispose();
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_RUNTIME_UNSUPPORTED') return false;
    throw error;
  }
}

/** Whether limits of a whole tree can be kept here, which takes control groups. */
export const canLimitTrees = await canKeep({ limits: { memoryBytes: 1 << 30, processes: 1_000 } });

/** Whether tenants within walls have a control group of version 2 here. */
export const canGroupTrees = (() => {
  const own = readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)?.[1];
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  const point = mounts.match(/^\S+ \S+ \S+ \/ (\S+) .* - cgroup2 /m)?.[1];
  try {
    accessSync(`${point}${own}`, constants.W_OK);
    accessSync(`${point}${own}/cgroup.procs`, constants.W_OK);
    return true;
  } catch {
    return false;
  }
})();
