// A tenant that runs as the host's user can inspect all processes of that user but the warden and
// the keepers, while the host sees what it needs. (More refusals:
// `crates/warden/tests/same_user.rs`.)
import { expect, test } from 'bun:test';
import { chmodSync } from 'node:fs';
import {
  assertGone,
  descendantsOf,
  engineNames,
  startHost,
  Tenants,
} from '../support/processes/index.ts';

/** Walks up its parents to the host, and prints each one's name and what it could read of it. */
const LOOK_AROUND = `
pid=$$
while pid=$(awk '/^PPid:/ { print $2 }' /proc/$pid/status) && [ "$pid" -gt 1 ]; do
  name=$(cat /proc/$pid/comm)
  echo "met $name"
  for file in environ maps mem auxv fd/0; do
    head -c 1 /proc/$pid/$file >/dev/null 2>&1 && echo "$file of $name"
  done
done
setsid sleep 1000 &
exec bun server.ts
`;

const asNobody =
  process.getuid?.() === 0 ? 'setpriv --reuid=65534 --regid=65534 --clear-groups' : '';

for (const engine of engineNames) {
  test(`${engine}: neither the warden nor a keeper can be inspected`, async () => {
    await using tenants = new Tenants().add('app', {
      start: 'exec sh look.sh',
      'look.sh': LOOK_AROUND,
    });
    chmodSync(tenants.root, 0o755);
    await using host = startHost(engine, 'observes.mjs', [tenants.root, 'app'], {
      before: `HOME=${tenants.root}; set -- ${asNobody} "$@"`,
    });
    expect(await host.said('ready')).not.toBe('0');
    const { cpuMs, rssBytes } = await host.saidJson<{ cpuMs: number; rssBytes: number }>(
      'observed',
    );
    expect([cpuMs >= 0, rssBytes > 1_000_000]).toEqual([true, true]);
    const lines = host.lines.flatMap((line) =>
      line.startsWith('line ') ? JSON.parse(line.slice(5)) : [],
    );
    expect(lines).toContain('met abs-keeper');
    expect(lines).toContain('met abs-warden');
    expect(lines.filter((line: string) => / of abs-/.test(line))).toEqual([]);
    const tree = descendantsOf(host.pid);
    host.say('end');
    await host.said('disposed');
    assertGone('what it started', tree);
    expect((await host.end()).code).toBe(0);
  });
}
