// The operator's page, as a browser asks for it.
import { expect, expectBody } from './expect.ts';
import type { Context } from './steps.ts';

export async function dashboard({ host }: Context): Promise<string> {
  const link = new URL(host.summary.dashboard);
  const page = await fetch(link.origin);
  const policy = page.headers.get('content-security-policy') ?? '';
  const html = await expectBody(page, 200, '<script type="module"');
  expect(!policy.includes('unsafe-inline'), `the page may run what tenants write: ${policy}`);
  const parts = [...html.matchAll(/(?:src|href)="(\/page\/[^"]+)"/g)].map(([, path = '']) => path);
  expect(parts.length > 0, 'the page has no parts');
  for (const part of parts) {
    expect((await fetch(link.origin + part)).status === 200, `the page's ${part} is not there`);
  }

  const { tenants } = (await (await fetch(`${link.origin}/tenants`)).json()) as {
    tenants: { state: string }[];
  };
  expect(tenants.length === 5, `the page knows ${tenants.length} tenants`);
  const clear = { method: 'POST' };
  const refused = await fetch(`${link.origin}/tenants/crashes/clear`, clear);
  expect(refused.status === 403, `without the token an action was answered ${refused.status}`);

  const entered = await fetch(link, { redirect: 'manual' });
  const cookie = entered.headers.get('set-cookie')?.split(';', 1)[0] ?? '';
  const headers = { cookie, origin: link.origin };
  const done = await fetch(`${link.origin}/tenants/crashes/clear`, { ...clear, headers });
  expect(done.status === 200, `with the token an action was answered ${done.status}`);
  const unknown = await host.request('no-such-tenant', '/');
  expect(unknown.status === 404, 'an unknown tenant was not answered with 404');
  const running = tenants.filter(({ state }) => state === 'running').length;
  return `it shows ${tenants.length} tenants, ${running} of them running; only the printed link lets one act`;
}
