// The tenants of the density benchmark: a small server, and an express app, in directories of their
// own.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const EXPRESS = 'express@5.1.0';
const installed = join(import.meta.dir, '../../target/bench-express');
export const EXPRESS_MODULES = join(installed, 'node_modules');

const SERVERS = {
  hello: `Bun.serve({ hostname: '127.0.0.1', port: process.env.PORT, fetch: () => new Response('ok') });`,
  express: `
import express from 'express';
express()
  .get('/', (_, response) => response.send('ok'))
  .listen(Number(process.env.PORT), '127.0.0.1');`,
};

export type App = keyof typeof SERVERS;
export const apps = Object.keys(SERVERS) as App[];

/** Makes the directories `t0`, `t1`, … and returns their names. */
export function makeTenants(root: string, app: App, count: number): string[] {
  const modules = app === 'express' ? packages() : undefined;
  return Array.from({ length: count }, (_, index) => {
    const key = `t${index}`;
    mkdirSync(join(root, key), { recursive: true });
    writeFileSync(join(root, key, 'app.js'), SERVERS[app]);
    if (modules !== undefined) symlinkSync(modules, join(root, key, 'node_modules'));
    return key;
  });
}

export const hasExpress = () => existsSync(join(EXPRESS_MODULES, 'express'));

/** Installed once, below `target/`. */
function packages(): string {
  if (hasExpress()) return EXPRESS_MODULES;
  mkdirSync(installed, { recursive: true });
  writeFileSync(join(installed, 'package.json'), '{ "private": true }');
  const flags = ['--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'];
  execFileSync('npm', ['install', ...flags, EXPRESS], { cwd: installed, stdio: 'inherit' });
  return EXPRESS_MODULES;
}
