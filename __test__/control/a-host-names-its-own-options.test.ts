import { expect, test } from 'bun:test';
import { BROKEN, openDesk } from '../support/control/desk.ts';

test('advice and refusals name options as the host does, and which tenant it is about', async () => {
  const asked: unknown[] = [];
  const optionName = (option: string, key: string | null) => {
    asked.push([option, key]);
    return `<${option} in apps.toml>`;
  };
  await using desk = await openDesk({ runtime: { maxConcurrent: 1 }, control: { optionName } });
  desk.house.tenants.add('empty', { 'package.json': '{}' });
  await desk.ask('/tenants/empty/start', 'POST');
  const { problem, timeline } = await desk.tenant('empty');
  expect(problem?.summary).toEndWith('or set <command in apps.toml>');
  expect(timeline.at(-1)?.text).toEndWith('or set <command in apps.toml>');
  expect(asked).toContainEqual(['command', 'empty']);
  await desk.ask('/tenants/hello/start', 'POST');
  const { body } = await desk.ask('/tenants/hello/replace', 'POST');
  expect(body.error.message).toContain('a larger <maxConcurrent in apps.toml> has room for both');
});

test('without that, or when it throws, options have their own names', async () => {
  const optionName = () => {
    throw new Error('no');
  };
  await using desk = await openDesk({ control: { optionName } });
  desk.house.tenants.add('empty', { 'package.json': '{}' });
  await desk.ask('/tenants/empty/start', 'POST');
  expect((await desk.tenant('empty')).problem?.summary).toEndWith('or set the option `command`');
});

test('operators are told of actions, and not of methods', async () => {
  const runtime = { backoff: { baseMs: 1, maxFailures: 1 } };
  await using desk = await openDesk({ tenants: { broken: BROKEN }, runtime });
  await desk.ask('/tenants/broken/start', 'POST');
  const { body } = await desk.ask('/tenants/broken/start', 'POST');
  expect(body.error.code).toBe('ERR_RUNTIME_MAX_FAILURES');
  expect(body.error.message).toContain('; `clear` lets it be started again. Last error: ');
  desk.house.runtime.drain();
  const refused = await desk.ask('/tenants/broken/restart', 'POST');
  expect(refused.body.error.message).toBe('runtime is draining');
});
