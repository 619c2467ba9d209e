// Hosts of the command with real tenants.
import { type Options, start } from './run.ts';
import { Tenants } from '../processes/tenants.ts';

const CRASHES = 'console.error("no such database"); process.exit(3)';

export function tenantsOf() {
  return new Tenants().add('hello').add('broken', { 'server.ts': CRASHES });
}

/** Starts it, and resolves once it has said where it serves. */
export async function serve(
  place: { path: string; socket: string },
  root: string,
  args: string[] = [],
  options: Options = {},
) {
  const given = ['serve', root, '--port', '0', '--control', place.socket, ...args];
  const host = start(given, { cwd: place.path, ...options });
  const [, port] = await host.says(/:(\d+)\//);
  return { host, port: Number(port), control: ['--control', place.socket] };
}

/** A request for a tenant, by its name. */
export const get = (port: number, key: string, path = '/', signal?: AbortSignal) =>
  fetch(`http://127.0.0.1:${port}${path}`, { headers: { host: `${key}.localhost` }, signal });
