// A fleet whose member is played by the test, in front of a real runtime.
import { createRuntime, type RuntimeOptions } from '@absolutejs/runtime';
import { createFleet, etcd, type FleetEvent } from '@absolutejs/runtime/fleet';

/** What a member tells. */
type Notice = { kind: string } & Record<string, unknown>;

export function playedFleet(options: Partial<RuntimeOptions> = {}) {
  const runtime = createRuntime({ source: { kind: 'directory', root: 'tenants' }, ...options });
  const { core } = (runtime.list as any)[Symbol.for('@absolutejs/runtime.core')]();
  const calls: unknown[][] = [];
  const events: FleetEvent[] = [];
  let tell: (notice: Notice) => void = () => {};
  let settings: any;
  const open = core.native.openFleet;
  core.native.openFleet = (given: unknown, noticed: typeof tell) => {
    settings = given;
    tell = noticed;
    return {
      ensure: (ticket: number, key: string) => void calls.push(['ensure', ticket, key]),
      where: (key: string) =>
        key === 'there' ? { host: 'eu-2', address: 'http://10.0.0.6:7070', epoch: '12' } : null,
      hosts: () => [],
      claims: (keys: string[]) => void calls.push(['claims', keys]),
      ask: (...asked: unknown[]) => void calls.push(['ask', ...asked]),
      reply: (...reply: unknown[]) => void calls.push(['reply', ...reply]),
      drain: () => void calls.push(['drain']),
      close: () => void calls.push(['close']),
    };
  };
  const fleet = createFleet({
    runtime,
    store: etcd({ endpoints: ['http://127.0.0.1:2379', 'http://etcd'] }),
    host: { id: 'eu-1', address: 'http://10.0.0.5:7070' },
    secret: 'sixteen bytes ok',
    onEvent(event) {
      events.push(event);
      throw new Error('is ignored');
    },
  });
  core.native.openFleet = open;
  return {
    runtime,
    core,
    fleet,
    calls,
    events,
    settings,
    tell: (notice: Notice) => tell(notice),
  };
}
