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
 * The environment for everything that the scripts start. Tenants are started with `bun`, which a
 * machine may have only here. Tests and benchmarks talk to this machine only, so no proxy is asked
 * for it, whatever one there is.
 */
export function environment() {
  const { no_proxy, NO_PROXY } = process.env;
  const excepted = [no_proxy || NO_PROXY, '127.0.0.1', 'localhost', '[::1]'].filter(Boolean).join();
  return { ...process.env, no_proxy: excepted, PATH: `${localBin}${delimiter}${process.env.PATH ?? ''}` };
}
