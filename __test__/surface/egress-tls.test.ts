import { expect, test } from 'bun:test';
import { fileURLToPath } from 'node:url';
import { within } from '../support/surface/wait.ts';

const path = (name: string) =>
  fileURLToPath(new URL(`../support/surface/${name}`, import.meta.url));

/** What `egress-tls.mjs` prints, run by Bun in an environment with these variables. */
async function outcomes(env: Record<string, string>): Promise<any> {
  const child = Bun.spawn([process.execPath, path('egress-tls.mjs')], {
    env: { ...process.env, ...env },
    stdout: 'pipe',
    stderr: 'inherit',
  });
  return JSON.parse(await within('the requests', new Response(child.stdout).text()));
}

const trusting = { NODE_EXTRA_CA_CERTS: path('tls/authority.pem') };

test('the certificate must be for the name in the URL, which is also the one in SNI and Host', async () => {
  const results = await outcomes(trusting);
  expect(results.byName).toEqual({ host: 'secure.test', servername: 'secure.test', length: 0 });
  expect(results.byAddress).toEqual({ host: '127.0.0.1', servername: null, length: 0 });
  expect(results.withBody).toEqual({
    host: 'secure.test',
    servername: 'secure.test',
    length: 1_000_000,
  });
  const mismatch = {
    name: 'TypeError',
    code: 'ERR_RUNTIME_EGRESS_FAILED',
    cause: 'ERR_TLS_CERT_ALTNAME_INVALID',
  };
  expect(results.byOtherName).toEqual(mismatch);
});

test('an untrusted certificate is refused, whatever the environment says', async () => {
  const results = await outcomes({ NODE_EXTRA_CA_CERTS: '', NODE_TLS_REJECT_UNAUTHORIZED: '0' });
  for (const result of Object.values(results)) {
    expect(result).toMatchObject({ name: 'TypeError', code: 'ERR_RUNTIME_EGRESS_FAILED' });
  }
});

test('a proxy in the environment is not used', async () => {
  const nowhere = 'http://127.0.0.1:9';
  const proxies = {
    HTTP_PROXY: nowhere,
    HTTPS_PROXY: nowhere,
    http_proxy: nowhere,
    https_proxy: nowhere,
    NODE_USE_ENV_PROXY: '1',
  };
  const results = await outcomes({ ...trusting, ...proxies });
  expect(results.byName).toEqual({ host: 'secure.test', servername: 'secure.test', length: 0 });
});
