import { expect, test } from 'bun:test';
import {
  failed,
  fakeHost,
  host as shownHost,
  running,
  tenant,
} from '../support/command/fake-host.mjs';
import { directory, ENGINES, run, shell } from '../support/command/run.ts';
import { width } from '../../lib/command/text.js';

const HOSTILE = '日本-\x1b]0;title\x07-\x1b[2J';
const tenants = [failed('acme'), running('shop'), running(HOSTILE), tenant('never')];

async function withHost<T>(
  state: Parameters<typeof fakeHost>[1],
  work: (path: string) => Promise<T>,
) {
  using place = directory();
  const host = await fakeHost(place.socket, state);
  try {
    return await work(place.socket);
  } finally {
    await host.close();
  }
}

for (const engine of ENGINES) {
  test(`${engine}: it shows what is wrong first, why, and what to do`, () =>
    withHost({ tenants }, async (control) => {
      const { code, stdout, stderr } = await run(['ps', '--control', control], { engine });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const lines = stdout.split('\n');
      expect(lines[0]).toMatch(/^KEY +STATE +PID +PORT +UP .*P50 +P99 +CPU +MEMORY +LAST ERROR$/);
      expect(lines[1]).toMatch(/^acme +failed/);
      expect(stdout).toMatch(/^✘ acme: crashed 4 times, last with exit code 1, \d+s ago$/m);
      expect(stdout).toContain('    Error: no such database\n  → mend it, then clear it');
      // In a pipe there is no colour, and nothing of a tenant's is an escape.
      expect(stdout).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
    }));

  test(`${engine}: a reader that has seen enough ends it quietly`, () => {
    const many = Array.from({ length: 3_000 }, (_, index) => running(`tenant-${index}`));
    return withHost({ tenants: many }, async (control) => {
      const script = `runtime ps --control ${control} | head -1 >&2; echo "\${PIPESTATUS[@]}"`;
      const { stdout, stderr } = await shell(script, { engine });
      expect(stdout).toBe('0 0\n');
      expect(stderr.split('\n')).toHaveLength(2);
    });
  });
}

test('a host that cannot write its log files is told beside its tenants', async () => {
  const files = { directory: '/var/log/apps', bytes: 1, maxBytes: 2, droppedLines: 12 };
  const host = (isFailing: boolean) =>
    shownHost({ logs: { bytes: 1, files: { ...files, isFailing } } });
  const ps = (isFailing: boolean, ...more: string[]) =>
    withHost({ tenants, host: host(isFailing) }, (control) =>
      run(['ps', '--control', control, ...more]),
    );
  const { code, stderr } = await ps(true);
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: '✘ the host cannot write its log files in /var/log/apps, 12 lines lost: see `events`\n',
  });
  expect((await ps(false)).stderr).toBe('');
  expect((await ps(true, '--quiet')).stderr).toBe('');
});

test('without a process inspect says nothing of limits and walls in force', () =>
  withHost({ tenants }, async (control) => {
    const inspect = async (key: string) =>
      (await run(['inspect', key, '--control', control])).stdout;
    expect(await inspect('shop')).toMatch(/^walls +none in force$/m);
    expect(await inspect('acme')).toMatch(/^acme +failed/);
    expect(await inspect('acme')).not.toContain('in force');
  }));

test('ps and inspect show who sleeps, how deep, and with what memory', () => {
  const asleep = running('nap', {
    state: 'asleep',
    depth: 'paged-out',
    rank: 7,
    rssBytes: 2 ** 23,
  });
  return withHost({ tenants: [...tenants, asleep] }, async (control) => {
    const ps = await run(['ps', '--state', 'asleep', '--control', control]);
    expect(ps.stdout).toMatch(/^nap +asleep, paged out +4711 .* 8\.0M\/512M$/m);
    expect(ps.stdout).not.toContain('shop');
    const { stdout } = await run(['inspect', 'nap', '--control', control]);
    expect(stdout).toMatch(/^nap +asleep, paged out$/m);
  });
});

test('inspect tells what the gateway refused in the last minute, if it did', () => {
  const shop = running('shop', { refusedPerSecond: 0.05 });
  return withHost({ tenants: [shop, running('acme')] }, async (control) => {
    const inspect = async (key: string) =>
      (await run(['inspect', key, '--control', control])).stdout;
    expect(await inspect('shop')).toMatch(
      /^refused +3 requests by the gateway in the last minute$/m,
    );
    expect(await inspect('acme')).not.toContain('refused');
  });
});

test('in a pipe the width is that of COLUMNS, and what matters least is left out', () =>
  withHost({ tenants }, async (control) => {
    const at = async (columns: number) => {
      const env = { COLUMNS: String(columns), ABSOLUTE_RUNTIME_CONTROL: control };
      const { stdout } = await run(['ps'], { env });
      for (const line of stdout.split('\n')) expect(width(line)).toBeLessThanOrEqual(columns);
      return stdout.split('\n')[0];
    };
    expect(await at(200)).toContain('LAST ERROR');
    expect(await at(80)).toMatch(/^KEY +STATE +PID .*UP .*CRASHES +REQ\/S .*P99 +CPU +MEMORY$/);
    expect(await at(40)).toMatch(/^KEY +STATE +UP .*MEMORY$/);
    expect(await at(20)).toMatch(/^KEY +STATE$/);
  }));

test('some of them, by key and by state, sorted, as JSON, or their keys alone', () =>
  withHost({ tenants }, async (control) => {
    const env = { ABSOLUTE_RUNTIME_CONTROL: control };
    const json = async (...args: string[]) =>
      JSON.parse((await run(['ps', '--json', ...args], { env })).stdout).map(
        ({ key }: { key: string }) => key,
      );
    expect(await json()).toEqual(tenants.map(({ key }) => key));
    expect(await json('shop', 'never')).toEqual(['shop', 'never']);
    expect(await json('--state', 'running')).toEqual(['shop', HOSTILE]);
    expect(await json('--sort', 'key')).toEqual(['acme', 'never', 'shop', HOSTILE]);
    // A program gets keys as they are.
    expect((await run(['ps', '-q'], { env })).stdout).toBe(`acme\nshop\n${HOSTILE}\nnever\n`);
  }));

test('a key that is not there is told with the nearest one', () =>
  withHost({ tenants }, async (control) => {
    const { code, stdout, stderr } = await run(['ps', 'shpo', '--control', control]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe('There is no tenant shpo; did you mean shop?\n');
  }));

test('without a host it says where it looked, and what to do', async () => {
  using place = directory();
  const { code, stderr } = await run(['ps'], { env: { XDG_RUNTIME_DIR: place.path } });
  expect(code).toBe(1);
  expect(stderr).toContain(`there is no socket ${place.path}/absolute-runtime.sock; start one`);
  const json = await run(['ps', '--json', '--control', place.socket]);
  expect(JSON.parse(json.stderr).error.code).toBe('ENOENT');
});

test('what is no host is told from one', async () => {
  using place = directory();
  const server = Bun.serve({ unix: place.socket, fetch: () => new Response('<html>') });
  const { code, stderr } = await run(['ps', '--control', place.socket]);
  await server.stop(true);
  expect(code).toBe(1);
  expect(stderr).toContain('is not a host of @absolutejs/runtime');
});
