import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { open, type House } from '../support/gateway/house.ts';
import { within } from '../support/processes/until.ts';

const read = (name: string) =>
  readFileSync(new URL(`../support/gateway/tls/${name}.pem`, import.meta.url), 'utf8');
const certificate = (name: string) => ({ cert: read(name), key: read(`${name}-key`) });

/** The name in the certificate that a client gets, and what was agreed on; or that it gets none. */
async function handshake({ port }: House, servername?: string): Promise<string> {
  const name = servername === undefined ? {} : { servername };
  const protocols = { ALPNProtocols: ['h2', 'http/1.1'] };
  const socket = connect({
    host: '127.0.0.1',
    port,
    rejectUnauthorized: false,
    ...name,
    ...protocols,
  });
  try {
    await within('a handshake', once(socket, 'secureConnect'));
    return `${socket.getPeerCertificate().subject.CN} ${socket.alpnProtocol}`;
  } catch {
    return 'refused';
  } finally {
    socket.destroy();
  }
}

test('a client gets the certificate of the name that it asks for, and else the first', async () => {
  const tls = [
    certificate('first'),
    { ...certificate('second'), names: ['Other.Test', '*.other.test'] },
  ];
  await using house = await open({ gateway: { tls } });
  expect((await house.gateway.listening)[0]?.url).toBe(`https://127.0.0.1:${house.port}`);
  expect(await handshake(house, 'first.test')).toBe('first h2');
  expect(await handshake(house, 'other.test')).toBe('second h2');
  expect(await handshake(house, 'a.other.test')).toBe('second h2');
  expect(await handshake(house, 'unknown.test')).toBe('first h2');
  expect(await handshake(house)).toBe('first h2');
  const answer = await fetch(`https://127.0.0.1:${house.port}/x`, {
    headers: { host: 'hello.localhost' },
    tls: { rejectUnauthorized: false },
  });
  const { path, headers } = (await answer.json()) as { path: string; headers: object };
  expect({ path, headers }).toMatchObject({
    path: '/x',
    headers: { 'x-forwarded-proto': 'https' },
  });
});

test('certificates are renewed while it runs; what cannot be used changes nothing', async () => {
  await using house = await open({ gateway: { tls: certificate('first') } });
  const { setCertificates } = house.gateway;
  expect(await handshake(house, 'a.test')).toBe('first h2');
  setCertificates(certificate('renewed'));
  expect(await handshake(house, 'a.test')).toBe('renewed h2');
  const mixed = { cert: read('first'), key: read('second-key') };
  const invalid = (message: string) =>
    expect.objectContaining({
      code: 'ERR_RUNTIME_INVALID_OPTION',
      message: expect.stringContaining(message),
    });
  expect(() => setCertificates(mixed)).toThrow(
    invalid('certificates: the key and the certificate'),
  );
  expect(() => setCertificates([certificate('first'), mixed])).toThrow(
    invalid('certificates: [1]:'),
  );
  expect(() => setCertificates([])).toThrow(
    invalid('certificates must be a certificate or several'),
  );
  expect(await handshake(house, 'a.test')).toBe('renewed h2');
});

test('a gateway without certificates has none to renew', async () => {
  await using house = await open();
  expect(() => house.gateway.setCertificates(certificate('first'))).toThrow(
    expect.objectContaining({ code: 'ERR_RUNTIME_INVALID_OPTION' }),
  );
});

test('a function may say the certificate, or end the handshake', async () => {
  const asked: (string | null)[] = [];
  await using house = await open({
    gateway: {
      async tls(name) {
        asked.push(name);
        if (name === 'thrown.test') throw new Error('of the user');
        if (name === 'odd.test') return { cert: 'odd', key: 'odd' };
        return name === 'none.test' ? null : certificate(name === null ? 'second' : 'first');
      },
    },
  });
  expect(await handshake(house, 'a.test')).toBe('first h2');
  expect(await handshake(house, 'none.test')).toBe('refused');
  expect(await handshake(house, 'thrown.test')).toBe('refused');
  expect(await handshake(house, 'odd.test')).toBe('refused');
  expect(await handshake(house)).toBe('second h2');
  expect(() => house.gateway.setCertificates(certificate('first'))).toThrow(/let it return/);
  expect(asked).toEqual(['a.test', 'none.test', 'thrown.test', 'odd.test', null]);
});
