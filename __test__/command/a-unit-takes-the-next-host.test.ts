// `serve --survive` below systemd: which unit could not start the next host beside what is left.
import { expect, test } from 'bun:test';
import { tell } from '../../lib/command/serve/banner.js';
import { unitInTheWay } from '../../lib/command/serve/service.js';

const UNIT = '/system.slice/apps.service';

/** What is in the way of the next host of process 7, which systemd has started in these groups. */
const inTheWay = (groups: string, { env = { SYSTEMD_EXEC_PID: '7' }, writable = [UNIT] } = {}) =>
  unitInTheWay(env, {
    pid: 7,
    groups: () => `${groups}\n`,
    mayWrite: (file) => writable.some((group) => file === `/sys/fs/cgroup${group}/cgroup.procs`),
  });

test('the unit in whose own group the host is', () => {
  expect(inTheWay(`0::${UNIT}`)).toBe('apps.service');
  const ofUser = '/user.slice/user-9.slice/user@9.service/app.slice/apps.service';
  expect(inTheWay(`0::${ofUser}`, { writable: [ofUser] })).toBe('apps.service');
});

test('none where the host has a group below that of the unit', () => {
  const below = `${UNIT}/absolute-host-apps`;
  expect(inTheWay(`0::${below}`, { writable: [UNIT, below] })).toBeUndefined();
});

test('none where no limits can be kept, as the groups are not the host’s to change', () => {
  expect(inTheWay(`0::${UNIT}`, { writable: [] })).toBeUndefined();
});

test.each(['4:memory', '3:cpu,cpuacct', '9:pids'])('none with groups of version 1: %s', (one) => {
  expect(inTheWay(`${one}:${UNIT}\n0::${UNIT}`)).toBeUndefined();
});

test('none where systemd has not started this very process', () => {
  expect(inTheWay(`0::${UNIT}`, { env: {} as any })).toBeUndefined();
  expect(inTheWay(`0::${UNIT}`, { env: { SYSTEMD_EXEC_PID: '8' } })).toBeUndefined();
  expect(inTheWay('0::/user.slice/user-9.slice/session-2.scope')).toBeUndefined();
});

test.each([
  ['apps.service', true],
  [undefined, false],
])('what the host says at its start: %p', (unit, isSaid) => {
  const survive = { name: 'apps', forMs: 60_000, takeOver: false };
  const summary: any = { name: 'host', pid: 7, root: '/', tenants: [], survive, pattern: '' };
  const settings: any = { values: { isolation: 'tenant', 'user-range': [1, 2] }, texts: {} };
  const said: string[] = [];
  const io = { env: {}, textColumns: () => 999, print: () => {}, complain: said.push.bind(said) };
  tell(summary, settings, unit, io as any);
  const line = /no next host\s+systemd cannot start one in apps\.service .*DelegateSubgroup=/;
  expect(line.test(said.join('\n'))).toBe(isSaid);
});
