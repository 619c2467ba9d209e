// Sockets of others, and kinds of sockets that no web app needs.
import { expect, test } from 'bun:test';
import { landlock, SINCE } from '../../support/walls/kernel.ts';
import { inEachWorld } from '../../support/walls/world.ts';

const [STREAM, DGRAM, RAW, SEQPACKET] = [1, 2, 3, 5];
const [UNIX, INET, INET6, NETLINK, PACKET, ALG, VSOCK, SMC] = [1, 2, 10, 16, 17, 38, 40, 43];
const [ICMP, TCP_MULTIPATH, SCTP] = [1, 262, 132];
const [ROUTE, AUDIT, NETFILTER, CONNECTOR, UEVENT] = [0, 9, 12, 11, 15];
const ALL_ETHERNET = 0x0300;
/** What a kernel answers that does not have the kind at all. */
const UNKNOWN = ['EAFNOSUPPORT', 'EPROTONOSUPPORT', 'ESOCKTNOSUPPORT'];

inEachWorld((world) => {
  const name = () => `@abs-of-${world().tenants.victim.pid}`;
  const asUser = { 'as an ordinary user': ['EPERM', 'EACCES', ...UNKNOWN] };

  test.skipIf(landlock < SINCE.abstractSockets)(
    "a neighbour's abstract socket cannot be connected to",
    async () => {
      await world().try('victim', 'receiveAt', name());
      await world().refuses('connectToUnix', [name()], 'EPERM');
    },
  );

  test.skipIf(landlock < SINCE.abstractSockets)(
    "nothing can be sent to a neighbour's abstract socket",
    async () => {
      await world().try('victim', 'receiveAt', `${name()}-sent`);
      await world().refuses('sendToUnix', [`${name()}-sent`], 'EPERM');
    },
  );

  test.skipIf(landlock < SINCE.abstractSockets)(
    'no descriptor can be passed through an abstract socket',
    async () => {
      await world().try('victim', 'receiveAt', `${name()}-passed`);
      for (const key of ['attacker', 'control'] as const) {
        const passed = await world().try(
          key,
          'passDescriptor',
          `${name()}-passed`,
          world().file(key),
        );
        expect([key, passed.outcome]).toEqual([key, key === 'control' ? 'ok' : 'EPERM']);
      }
    },
  );

  test('packets of the machine cannot be read', () =>
    world().refuses('openSocket', [PACKET, RAW, ALL_ETHERNET], 'EPERM', { control: asUser }));

  test('raw IPv4 and IPv6 packets cannot be sent', async () => {
    await world().refuses('openSocket', [INET, RAW, ICMP], 'EPERM', { control: asUser });
    await world().refuses('openSocket', [INET6, RAW, ICMP], 'EPERM', { control: asUser });
  });

  test('of netlink nothing but routes can be asked', async () => {
    for (const protocol of [AUDIT, NETFILTER, CONNECTOR, UEVENT]) {
      await world().refuses('openSocket', [NETLINK, RAW, protocol], ['EPERM', ...UNKNOWN], {
        control: ['ok', ...UNKNOWN],
      });
    }
    const route = await world().try('attacker', 'openSocket', NETLINK, RAW, ROUTE);
    expect(route.outcome).toBe('ok');
  });

  test('multipath TCP, which walls do not see, is refused', () =>
    world().refuses('openSocket', [INET, STREAM, TCP_MULTIPATH], ['EPERM', ...UNKNOWN], {
      control: ['ok', ...UNKNOWN],
    }));

  test('kinds of sockets that listen past the walls are refused', async () => {
    for (const [family, type, protocol] of [
      [INET, SEQPACKET, SCTP],
      [INET, STREAM, SCTP],
      [SMC, STREAM, 0],
      [VSOCK, STREAM, 0],
      [ALG, SEQPACKET, 0],
    ] as const) {
      const outcome = ['EPERM', 'EACCES', ...UNKNOWN];
      await world().refuses('openSocket', [family, type, protocol], outcome, {
        control: ['ok', ...UNKNOWN],
      });
    }
  });

  test('no protocol of the kernel can take a connection over', async () => {
    for (const protocol of ['smc', 'tls', 'espintcp']) {
      await world().refuses('putAbove', [protocol], 'ENOPROTOOPT', {
        control: ['ok', 'ENOENT', 'ENOTCONN', 'EPERM', 'EOPNOTSUPP', 'ENOPROTOOPT'],
      });
    }
  });

  test('there are no families of sockets but unix, IPv4, IPv6 and netlink', async () => {
    const open = (await world().try('attacker', 'socketFamilies')).detail.split(' ').map(Number);
    expect(open.filter((family) => ![UNIX, INET, INET6, NETLINK].includes(family))).toEqual([]);
    const control = (await world().try('control', 'socketFamilies')).detail.split(' ');
    expect(control.length).toBeGreaterThanOrEqual(open.length);
    for (const type of [STREAM, DGRAM]) {
      const { outcome } = await world().try('attacker', 'openSocket', UNIX, type, 0);
      expect(outcome).toBe('ok');
    }
  });
});
