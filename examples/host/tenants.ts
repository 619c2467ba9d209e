// The list of tenants: the directories of examples/tenants, described by their package.json.
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

export interface TenantInfo {
  name: string;
  description: string;
}

export const tenantsRoot = fileURLToPath(new URL('../tenants', import.meta.url));

export async function readTenants(): Promise<TenantInfo[]> {
  const entries = await readdir(tenantsRoot, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  return Promise.all(names.sort().map(describe));
}

async function describe(name: string): Promise<TenantInfo> {
  const { description } = await Bun.file(join(tenantsRoot, name, 'package.json')).json();
  return { name, description };
}
