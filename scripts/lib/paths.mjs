// Where things are in the checkout. Every script takes its paths from here.
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { platformTriple } from './platform.mjs';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const nodeModules = join(root, 'node_modules');
export const localBin = join(nodeModules, '.bin');
export const bun = join(localBin, 'bun');

/** The built addon and warden: what `npm run build` makes and the package loads. */
export function builtFiles() {
  const triple = platformTriple();
  const directory = join(root, 'npm', triple);
  return {
    directory,
    addon: join(directory, `runtime.${triple}.node`),
    warden: join(directory, 'warden'),
  };
}

/**
 * The environment of all programs that the scripts start. `bun`, which starts tenants, may be
 * installed only in the checkout, so that is on PATH. Tests and benchmarks talk to this machine
 * only: their requests must not go to a proxy.
 */
export function environment() {
  const { no_proxy, NO_PROXY } = process.env;
  const excepted = [no_proxy || NO_PROXY, '127.0.0.1', 'localhost', '[::1]'].filter(Boolean).join();
  return {
    ...process.env,
    no_proxy: excepted,
    PATH: `${localBin}${delimiter}${process.env.PATH ?? ''}`,
  };
}
