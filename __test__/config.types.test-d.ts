// What the types of the config file must accept and refuse.
import { defineConfig, type RuntimeConfig } from '@absolutejs/runtime/config';

defineConfig({});
defineConfig({
  dir: './tenants',
  port: 8080,
  memory: '256M',
  idle: 'never',
  isolation: 'none',
  sleepAfter: '30s',
  pageOutAfter: 'never',
  maxAsleep: 1_000,
  outgoing: 'breathe',
  evict: 'cost',
  keepFree: '512M',
  trust: ['10.0.0.0/8'],
  dashboard: 3900,
  tenant: async (key) => ({
    memory: key === 'big' ? '1G' : 'none',
    isolation: { read: ['/srv/shared'] },
    limits: { openFiles: 64 },
    warm: true,
  }),
}) satisfies RuntimeConfig;

// @ts-expect-error: a misspelt key
defineConfig({ memroy: '1G' });
// @ts-expect-error: not one of its words
defineConfig({ route: 'host' });
// @ts-expect-error: only for all tenants
defineConfig({ tenant: () => ({ port: 1 }) });
