// In a real terminal: colours, `top`, and that the terminal is given back on every way out.
import { expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { failed, fakeHost, host as shownHost, running } from '../support/command/fake-host.mjs';
import { directory, ENGINES } from '../support/command/run.ts';
import { isThere, processes, signal } from '../support/processes/table.ts';
import { Tenants } from '../support/processes/tenants.ts';
import { Terminal } from '../support/command/terminal.ts';
import { until } from '../support/processes/until.ts';

const HOSTILE = 'evil\x1b[2J\x1b]0;x\x07';
const many = [
  failed('acme'),
  running(HOSTILE),
  ...Array.from({ length: 50 }, (_, index) => running(`shop-${String(index).padStart(2, '0')}`)),
];

/** The command that runs in the terminal's shell. */
const commandIn = (terminal: Terminal) =>
  until('the command', () => processes().find(({ parent }) => parent === terminal.pid));

test('top says that the host cannot write its log files, until it can', async () => {
  using place = directory();
  const files = { directory: '/var/log/apps', bytes: 1, maxBytes: 2, droppedLines: 0 };
  const told = (isFailing: boolean) =>
    shownHost({ logs: { bytes: 1, files: { ...files, isFailing } } });
  const host = await fakeHost(place.socket, { tenants: many, host: told(true) });
  using terminal = new Terminal(120, 20, {});
  terminal.type(`runtime top --control ${place.socket}`);
  await terminal.shows(/✘ the host cannot write its log files in \/var\/log\/apps: see/);
  host.push('host', told(false));
  await terminal.shows(/^by problems/m);
  expect(terminal.screen()).not.toContain('log files');
  terminal.press('q');
  await until('the shell', () => terminal.program === 'bash');
  await host.close();
});

for (const engine of ENGINES) {
  test(`${engine}: top shows, sorts, searches, scrolls, and gives the terminal back`, async () => {
    using place = directory();
    const host = await fakeHost(place.socket, { tenants: many, host: shownHost() });
    using terminal = new Terminal(100, 20, { engine });
    terminal.type(`runtime top --control ${place.socket}`);
    const screen = await terminal.shows(/acme +failed/);
    expect(terminal.state).toEqual({ alternate: true, cursor: false });
    expect(screen).toContain('52 tenants: 1 failed, 51 running');
    expect(screen).toContain('evil␛[2J␛]0;x␇');
    expect(screen.split('\n').at(-2)).toMatch(/^q quit .*\(\d+ more below\)$/);
    terminal.press('/');
    terminal.press('4', '9');
    await terminal.shows(/\/49_\s/);
    expect(terminal.screen()).toMatch(/shop-49 +running/);
    expect(terminal.screen()).not.toContain('shop-48');
    terminal.press('Escape');
    await terminal.shows(/shop-01/);
    terminal.press('s');
    await terminal.shows(/by requests/);
    terminal.press('f');
    await terminal.shows(/only stopped/);
    terminal.press('Escape', 'k');
    await terminal.shows(/by key\s/);
    terminal.press('End');
    await terminal.shows(/shop-49/);
    terminal.resize(40, 10);
    await terminal.shows(/^KEY +STATE +UP .*MEMORY$/m);
    terminal.press('End');
    await terminal.shows(/shop-49 +running/);
    host.push('changed', { at: 0, tenants: [failed('shop-49')], gone: [] });
    await terminal.shows(/shop-49 +failed/);
    terminal.press('q');
    await until('the shell', () => terminal.program === 'bash');
    expect(terminal.state).toEqual({ alternate: false, cursor: true });
    terminal.type('echo code $?');
    await terminal.shows(/code 0/);
    await host.close();
  });

  for (const [how, code] of [
    ['^C', 130],
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    test(`${engine}: ${how} gives the terminal back`, async () => {
      using place = directory();
      const host = await fakeHost(place.socket, { tenants: many, host: shownHost() });
      using terminal = new Terminal(80, 20, { engine });
      terminal.type(`runtime top --control ${place.socket}`);
      await terminal.shows(/acme +failed/);
      if (how === '^C') terminal.press('C-c');
      else signal(await commandIn(terminal), how);
      await until('the shell', () => terminal.program === 'bash');
      expect(terminal.state).toEqual({ alternate: false, cursor: true });
      terminal.type('echo code $?; stty -a | grep -o -- "-\\?icanon"');
      await terminal.shows(new RegExp(`code ${code}\nicanon`));
      await host.close();
    });
  }

  test(`${engine}: a host that is gone is told, and what is left is marked as old`, async () => {
    using place = directory();
    const state = { tenants: many, host: shownHost() };
    let host = await fakeHost(place.socket, state);
    using terminal = new Terminal(100, 20, { engine });
    terminal.type(`runtime top --control ${place.socket}`);
    await terminal.shows(/acme +failed/);
    expect(terminal.screen({ colours: true })).toContain('\x1b[32mrunning');
    await host.close();
    await terminal.shows(/The host is gone since \d\d:\d\d:\d\d: what follows is old/);
    expect(terminal.screen()).toMatch(/acme +failed/);
    expect(terminal.screen({ colours: true })).not.toContain('\x1b[32m');
    host = await fakeHost(place.socket, state);
    await terminal.shows(/apps +pid 99/);
    expect(terminal.screen({ colours: true })).toContain('\x1b[32mrunning');
    await host.close();
    terminal.press('q');
    await until('the shell', () => terminal.program === 'bash');
    expect(terminal.state).toEqual({ alternate: false, cursor: true });
  });

  test(`${engine}: a host whose terminal is closed ends in order`, async () => {
    using place = directory();
    await using tenants = new Tenants().add('hello');
    const terminal = new Terminal(100, 20, { engine });
    terminal.type(`runtime serve ${tenants.root} --port 0 --control ${place.socket}`);
    await terminal.shows(/http:\/\/hello/);
    const command = await commandIn(terminal);
    terminal[Symbol.dispose]();
    await until('its end', () => !isThere(command));
    expect(existsSync(place.socket)).toBeFalse();
  });

  test(`${engine}: colours in a terminal, none with NO_COLOR`, async () => {
    using place = directory();
    const host = await fakeHost(place.socket, { tenants: many.slice(0, 3) });
    using terminal = new Terminal(80, 20, { engine });
    terminal.type(`runtime ps --control ${place.socket}; echo done`);
    await terminal.shows(/^done/m);
    expect(terminal.screen({ colours: true })).toContain('\x1b[31mfailed');
    terminal.type(`clear; NO_COLOR=1 runtime ps --control ${place.socket}; echo end`);
    await terminal.shows(/^end/m);
    expect(terminal.screen({ colours: true })).not.toContain('\x1b[3');
    // As wide as the terminal, and no line is broken.
    expect(terminal.screen()).toMatch(/^KEY .*MEMORY\nacme/m);
    await host.close();
  });
}
