import { expect, test } from 'bun:test';
import { createEgressGuard } from '@absolutejs/runtime';
import { guardOf, localGuard, lookupOf, serve } from '../support/surface/egress.ts';
import { rejectionOf } from '../support/surface/wait.ts';

test('one address that is not public is enough to deny a name, wherever it is in the list', async () => {
  await using server = await serve((_, response) => void response.end('reached'));
  for (const addresses of [
    ['127.0.0.1', '10.0.0.1'],
    ['10.0.0.1', '127.0.0.1'],
    ['127.0.0.1', '127.0.0.1', '::1'],
  ]) {
    const error = await rejectionOf(
      guardOf(addresses, { allow: ['127.0.0.1'] }).fetch('acme', server.at('a.test')),
    );
    expect(error.reason).toBe('address');
  }
  expect(server.connections()).toBe(0);
});

test('a name is looked up once for a request, and the answer that was checked is the one that is used', async () => {
  await using server = await serve((_, response) => void response.end('reached'));
  const answers = [['127.0.0.1'], ['10.0.0.1'], ['169.254.169.254']];
  let lookups = 0;
  const guard = createEgressGuard({ allow: ['127.0.0.1'], lookup: () => answers[lookups++] ?? [] });
  const response = await guard.fetch('acme', server.at('rebinding.test'));
  expect(await response.text()).toBe('reached');
  expect(lookups).toBe(1);
  const second = await rejectionOf(guard.fetch('acme', server.at('rebinding.test')));
  expect(second.address).toBe('10.0.0.1');
  const third = await rejectionOf(guard.fetch('acme', server.at('rebinding.test')));
  expect(third.address).toBe('169.254.169.254');
  expect(server.connections()).toBe(1);
});

test('a name that only the given lookup knows is reached, and Host is that name', async () => {
  await using server = await serve((_, response) => void response.end('reached'));
  const { lookup, asked } = lookupOf({ 'nowhere.invalid': ['127.0.0.1'] });
  const guard = createEgressGuard({ allow: ['127.0.0.1'], lookup });
  const response = await guard.fetch('acme', `${server.at('NoWhere.Invalid.')}/path?query`);
  expect(await response.text()).toBe('reached');
  expect(asked).toEqual(['nowhere.invalid']);
  expect(server.seen[0]).toMatchObject({
    url: '/path?query',
    headers: { host: `nowhere.invalid.:${server.port}` },
  });
});

test('the address that the lookup gave is dialled even when the system knows the name otherwise', async () => {
  await using elsewhere = await serve((_, response) => void response.end('reached'), '127.0.0.2');
  const guard = createEgressGuard({ allow: ['127.0.0.0/8'], lookup: () => ['127.0.0.2'] });
  expect(await (await guard.fetch('acme', elsewhere.at('localhost'))).text()).toBe('reached');
});

test('the next address is tried when one does not answer', async () => {
  await using server = await serve((_, response) => void response.end('reached'));
  const lookup = () => ['127.0.0.9', '::1', '127.0.0.1'];
  const guard = createEgressGuard({ allow: ['127.0.0.0/8', '::1'], lookup });
  expect(await (await guard.fetch('acme', server.at('app.test'))).text()).toBe('reached');
});

test('of very many addresses all are checked and a few are tried', async () => {
  await using server = await serve((_, response) => void response.end('reached'));
  const silent = Array.from({ length: 500 }, () => '127.0.0.9');
  const guard = (last: string) => guardOf([...silent, last], { allow: ['127.0.0.0/8'] });
  const denied = await rejectionOf(guard('10.0.0.1').fetch('acme', server.at('app.test')));
  expect(denied.address).toBe('10.0.0.1');
  const failed = await rejectionOf(guard('127.0.0.1').fetch('acme', server.at('app.test')));
  expect(failed.code).toBe('ERR_RUNTIME_EGRESS_FAILED');
  expect(server.connections()).toBe(0);
});

test('addresses can come as dns.lookup gives them', async () => {
  await using server = await serve((_, response) => void response.end('reached'));
  const lookup = async () => [{ address: '127.0.0.1', family: 4 }];
  const guard = createEgressGuard({ allow: ['127.0.0.1'], lookup });
  expect(await (await guard.fetch('acme', server.at('app.test'))).text()).toBe('reached');
});

test('without a lookup of its own the guard asks the system', async () => {
  await using server = await serve((_, response) => void response.end('reached'));
  const open = createEgressGuard({ allow: ['127.0.0.0/8', '::1'] });
  expect(await (await open.fetch('acme', server.at('localhost'))).text()).toBe('reached');
  const closed = createEgressGuard();
  for (const name of ['localhost', 'localhost.', 'LOCALHOST']) {
    expect((await rejectionOf(closed.fetch('acme', server.at(name)))).reason).toBe('address');
  }
  expect(server.connections()).toBe(1);
});

test.each([
  ['0x7f.1'],
  ['127.1'],
  ['localhost'],
  [''],
  ['1.1.1.1, 10.0.0.1'],
  [null],
  [undefined],
  [2130706433],
  [{ address: 'localhost' }],
  [{}],
])('a lookup that gives %p, which is no address, fails the request', async (answer) => {
  const guard = createEgressGuard({ lookup: () => ['1.1.1.1', answer as string] });
  const error = await rejectionOf(guard.fetch('acme', 'http://app.test/'));
  expect(error).toBeInstanceOf(TypeError);
  expect(error.code).toBe('ERR_RUNTIME_EGRESS_FAILED');
  expect(error.message).toContain('which is not an IP address');
});

test.each([[[]], [undefined], ['127.0.0.1'], [null]])(
  'a lookup that gives %p fails the request',
  async (answer) => {
    const guard = createEgressGuard({ lookup: () => answer as any });
    expect((await rejectionOf(guard.fetch('acme', 'http://app.test/'))).message).toContain(
      'has no address',
    );
  },
);

test('what a lookup throws or rejects with is the cause of the failure', async () => {
  const mine = new Error('no such name');
  for (const lookup of [
    () => Promise.reject(mine),
    () => {
      throw mine;
    },
  ]) {
    const error = await rejectionOf(
      createEgressGuard({ lookup }).fetch('acme', 'http://app.test/'),
    );
    expect(error.code).toBe('ERR_RUNTIME_EGRESS_FAILED');
    expect(error.cause).toBe(mine);
  }
});

test.each([
  'metadata.google.internal',
  'metadata.google.internal.',
  'METADATA.GOOGLE.INTERNAL',
  'metadata',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
  'metadata.azure.internal',
])('%s is denied by name, whatever it resolves to', async (name) => {
  let lookups = 0;
  const guard = createEgressGuard({
    allow: ['127.0.0.1', '169.254.169.254'],
    lookup: () => [`127.0.0.${++lookups}`],
  });
  const error = await rejectionOf(guard.fetch('acme', `http://${name}/computeMetadata/v1/`));
  expect(error.reason).toBe('host');
  expect(lookups).toBe(0);
});

const hostLists: [entry: string, named: string[], notNamed: string[]][] = [
  [
    'example.com',
    ['example.com', 'EXAMPLE.com', 'example.com.'],
    ['a.example.com', 'example.com.evil.test', 'xample.com'],
  ],
  [
    '*.example.com',
    ['a.example.com', 'b.a.example.com', 'A.Example.com.'],
    ['example.com', 'evilexample.com', 'a.example.com.evil.test'],
  ],
  ['EXAMPLE.com.', ['example.com'], ['a.example.com']],
  [
    'bücher.example',
    ['bücher.example', 'xn--bcher-kva.example', 'BÜCHER.example'],
    ['bucher.example'],
  ],
];

test.each(hostLists)(
  'only: %p admits what it names and nothing else',
  async (entry, named, notNamed) => {
    await using server = await serve((_, response) => void response.end('reached'));
    const guard = guardOf(['127.0.0.1'], { allow: ['127.0.0.1'], only: [entry] });
    for (const host of named) expect((await guard.fetch('acme', server.at(host))).status).toBe(200);
    for (const host of [...notNamed, '127.0.0.1']) {
      expect((await rejectionOf(guard.fetch('acme', server.at(host)))).reason).toBe('host');
    }
  },
);

test.each(hostLists)(
  'deny: %p denies what it names and nothing else',
  async (entry, named, notNamed) => {
    await using server = await serve((_, response) => void response.end('reached'));
    const guard = guardOf(['127.0.0.1'], {
      allow: ['127.0.0.1'],
      deny: [entry],
      only: ['*.test', ...named, ...notNamed],
    });
    for (const host of named)
      expect((await rejectionOf(guard.fetch('acme', server.at(host)))).reason).toBe('host');
    for (const host of notNamed)
      expect((await guard.fetch('acme', server.at(host))).status).toBe(200);
  },
);

test('a name in only does not let it resolve to a private address', async () => {
  const guard = guardOf(['10.0.0.1'], { only: ['api.example.com'] });
  expect((await rejectionOf(guard.fetch('acme', 'https://api.example.com/'))).reason).toBe(
    'address',
  );
});

test('an empty only admits nothing, and a range in it admits URLs with such an address', async () => {
  await using server = await serve((_, response) => void response.end('reached'));
  const nothing = guardOf(['127.0.0.1'], { allow: ['127.0.0.1'], only: [] });
  expect((await rejectionOf(nothing.fetch('acme', server.at('app.test')))).reason).toBe('host');
  const range = guardOf(['127.0.0.1'], { allow: ['127.0.0.1'], only: ['127.0.0.0/8'] });
  expect((await range.fetch('acme', server.at('127.0.0.1'))).status).toBe(200);
  expect((await rejectionOf(range.fetch('acme', server.at('app.test')))).reason).toBe('host');
  const stillPrivate = guardOf([], { only: ['10.0.0.0/8'] });
  expect((await rejectionOf(stillPrivate.fetch('acme', 'http://10.0.0.1/'))).reason).toBe(
    'address',
  );
});

test('a denied range also denies the names that resolve into it', async () => {
  const guard = guardOf(['203.0.112.7'], { deny: ['203.0.112.0/24'] });
  const error = await rejectionOf(guard.fetch('acme', 'http://app.test/'));
  expect(error).toMatchObject({ reason: 'address', address: '203.0.112.7' });
});

test.each([
  'ftp://example.com/',
  'file:///etc/passwd',
  'data:text/plain,hi',
  'blob:http://a/b',
  's3://bucket/key',
  'gopher://a/',
  'ws://example.com/',
  'javascript:1',
  'unix:/run/docker.sock',
  'about:blank',
])('%s is denied for its scheme', async (url) => {
  const error = await rejectionOf(guardOf(['1.1.1.1']).fetch('acme', url));
  expect(error).toMatchObject({ name: 'EgressDeniedError', reason: 'scheme' });
});

test('a URL with a user name or password is denied, and the error does not repeat them', async () => {
  for (const user of ['user:secret@', 'user@', ':secret@']) {
    const error = await rejectionOf(
      guardOf(['1.1.1.1']).fetch('acme', `http://${user}app.test/path?q#h`),
    );
    expect(error.reason).toBe('credentials');
    expect(error.url).toBe('http://app.test/path?q#h');
    expect(error.message + JSON.stringify(error)).not.toContain('secret');
  }
});

test.each([22, 25, 53, 110, 143, 465, 587, 6000, 6667, 10080])(
  'port %d belongs to another protocol',
  async (port) => {
    expect(
      (await rejectionOf(guardOf(['1.1.1.1']).fetch('acme', `http://app.test:${port}/`))).reason,
    ).toBe('port');
  },
);

test('onDenied is told what the caller is told, and breaks nothing when it fails', async () => {
  const guard = localGuard();
  const error = await rejectionOf(guard.fetch('acme', 'http://10.0.0.1/'));
  expect(guard.denials).toEqual([error]);
  for (const onDenied of [
    () => {
      throw new Error('mine');
    },
    async () => {
      throw new Error('mine');
    },
  ]) {
    const failing = createEgressGuard({ onDenied });
    expect((await rejectionOf(failing.fetch('acme', 'http://10.0.0.1/'))).reason).toBe('address');
  }
});

test('the error says who was refused what', async () => {
  const error = await rejectionOf(
    guardOf(['10.0.0.1']).fetch('org/acme', 'https://app.test:8443/a?b=c'),
  );
  expect(error).toMatchObject({
    name: 'EgressDeniedError',
    code: 'ERR_RUNTIME_EGRESS_DENIED',
    key: 'org/acme',
    url: 'https://app.test:8443/a?b=c',
    reason: 'address',
    address: '10.0.0.1',
    message:
      'Egress of tenant "org/acme" to app.test:8443 denied: it resolves to 10.0.0.1, ' +
      'which is in a range that is not public (private)',
  });
  expect('retryAfterMs' in error).toBe(false);
});
