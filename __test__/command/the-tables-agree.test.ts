// What is written by hand about the settings says the same as the table of options.
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { configKey, OPTIONS, settingNames } from '../../lib/command/options.js';
import { COMMANDS } from '../../lib/command/commands.js';

const read = (path: string) => readFileSync(join(import.meta.dir, '../..', path), 'utf8');

test('the guide has every option of serve with its default, and every command', () => {
  const guide = read('docs/serve.md');
  for (const name of COMMANDS.serve!.options.filter((option) => option !== 'help')) {
    const row = guide
      .split('\n')
      .find((line) => line.startsWith('| `--') && line.includes(`\`--${name}\``));
    expect(row, name).toBeDefined();
    const { byDefault } = OPTIONS[name]!;
    if (byDefault !== undefined) expect(row!.split('|')[2]!.trim(), name).toBe(`\`${byDefault}\``);
  }
  for (const name of Object.keys(COMMANDS)) expect(guide).toContain(name);
});

test('the types of the config file have every setting, and no other', () => {
  const types = read('config.d.ts');
  const keys = [...types.matchAll(/^  (\w+)\?:/gm)].map(([, key]) => key!);
  expect(keys.toSorted()).toEqual([...settingNames.map(configKey), 'dir', 'tenant'].toSorted());
});
