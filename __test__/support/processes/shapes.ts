/** The shapes that a tenant's process tree takes. */
import type { Process } from './table.ts';
import { SERVER, type TenantFiles, type Tenants } from './tenants.ts';

/** `helpers` is how many processes named `sleep` belong to it once it is complete. */
type Shape = { files: TenantFiles; helpers: number };

const shape = (start: string, helpers: number, server = SERVER): Shape => ({
  files: { start, 'server.ts': server },
  helpers,
});

const IGNORES_TERM = `process.on('SIGTERM', () => {});\n${SERVER}`;

/** A server that starts its own helpers, one of them through a shell. */
const WITH_CHILDREN = `
Bun.spawn(['sleep', '1000']);
Bun.spawn(['sh', '-c', 'sleep 1000 & wait']);
${SERVER}`;

const SHAPES = {
  plain: shape('bun server.ts', 0),
  'under a shell': shape("sh -c 'bun server.ts & wait'", 0),
  'with helpers': shape('bun server.ts', 2, WITH_CHILDREN),
  'helper in its own session': shape('setsid sleep 1000 & bun server.ts', 1),
  'helper that is a daemon': shape('(setsid sh -c "sleep 1000 & exit 0" &); bun server.ts', 1),
  'daemon without a trace of its origin': shape(
    '(cd / && exec env -i /bin/sh -c "setsid sleep 1000 & exit 0" &); bun server.ts',
    1,
  ),
  'server that is a daemon': shape("setsid sh -c 'bun server.ts & exit 0'; sleep 1000", 1),
  'deaf to SIGTERM': shape(
    "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000 & wait' & bun server.ts",
    1,
    IGNORES_TERM,
  ),
};

export type ShapeName = keyof typeof SHAPES;
export const shapeNames = Object.keys(SHAPES) as ShapeName[];

/** The key of a tenant is the name of its shape with dashes. */
export const keyOf = (name: ShapeName) => name.replaceAll(' ', '-');
export const shapeKeys = shapeNames.map(keyOf);

const byKey = new Map<string, Shape>(shapeNames.map((name) => [keyOf(name), SHAPES[name]]));

export function addShapes(tenants: Tenants, names: readonly ShapeName[] = shapeNames): void {
  for (const name of names) {
    tenants.add(keyOf(name), SHAPES[name].files);
  }
}

/**
 * Whether all the helpers of the shape run. A shell that has yet to execute its helper has another
 * name, and does not count.
 */
export function isComplete(key: string, tree: readonly Process[]): boolean {
  const helpers = byKey.get(key)?.helpers ?? 0;
  return tree.filter(({ name }) => name === 'sleep').length === helpers;
}

/** How many helpers the shapes have in all. */
export const helpersOf = (names: readonly ShapeName[]) =>
  names.reduce((sum, name) => sum + SHAPES[name].helpers, 0);
