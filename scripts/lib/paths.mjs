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
 * machine may have only here.
 */
export function environment() {
  return { ...process.env, PATH: `${localBin}${delimiter}${process.env.PATH ?? ''}` };
}
