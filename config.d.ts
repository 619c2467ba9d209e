/**
 * The config file of `npx @absolutejs/runtime serve`: `runtime.config.ts`, `.js`, `.mjs` or `.json`
 * in the working directory, or what `--config` names.
 *
 * Each key is a flag in camel case, and takes what the flag takes. Flags come first, then
 * variables `ABSOLUTE_RUNTIME_*`, then the config file, then defaults.
 *
 * @packageDocumentation
 */
import type { TenantIsolationSetting, TenantSettings } from './index.js';

/**
 * Returns the config as it is; it is there for its types.
 *
 * @example
 * ```ts
 * import { defineConfig } from '@absolutejs/runtime/config';
 *
 * export default defineConfig({
 *   port: 8080,
 *   memory: '256M',
 *   idle: '10m',
 *   tenant: (key) => (key === 'shop' ? { memory: '1G', warm: true } : {}),
 * });
 * ```
 */
export function defineConfig(config: RuntimeConfig): RuntimeConfig;

/** Bytes, or a text such as `'512M'` or `'1G'`. */
export type ConfigSize = number | string;
/** Milliseconds, or a text such as `'5m'`, `'30s'` or `'1h30m'`. */
export type ConfigTime = number | string;

/** What the config file may say. Paths are relative to its directory. */
export type RuntimeConfig = ConfigOfTenant & {
  /** The directory of tenants. Default `'tenants'`. */
  dir?: string;
  /** Default 3000; 0 is any that is free. */
  port?: number;
  /** The address that the gateway listens at. Default `'127.0.0.1'`. */
  host?: string;
  /** Default `'localhost'`: a tenant is `key.localhost`. */
  domain?: string;
  /** `'subdomain'` (default): `key.localhost`; `'path'`: `localhost/key/`. */
  route?: 'subdomain' | 'path';
  /** How many tenants may run at once. Default 100. */
  max?: number;
  /**
   * How long after its last request a tenant is frozen, until the next one, or `'never'`, the
   * default. docs/density.md tells what sleeps well.
   */
  sleepAfter?: ConfigTime | 'never';
  /** How long after it its memory is handed to swap. Only with `sleepAfter`. Default `'1m'`. */
  pageOutAfter?: ConfigTime | 'never';
  /** How many may sleep at once. Only with `sleepAfter`. Default ten times `max`. */
  maxAsleep?: number;
  /**
   * What becomes of tenants with connections to elsewhere: they stay awake (default), are awake for
   * a moment of each minute, or sleep. Only with `sleepAfter`.
   */
  outgoing?: 'stay' | 'breathe' | 'sleep';
  /** Who makes room: the least recently used one (default), or who is large and soon back. */
  evict?: 'lru' | 'cost';
  /** Memory of the machine that is kept free, or `'none'`, the default. */
  keepFree?: ConfigSize | 'none';
  /** The PEM file of the certificate. It is read again on SIGHUP. */
  tlsCert?: string;
  /** The PEM file of its key. */
  tlsKey?: string;
  /** Proxies whose `Forwarded` and `X-Forwarded-*` are believed, such as `['10.0.0.0/8']`. */
  trust?: string | readonly string[];
  /** Where Prometheus gets figures, such as `'127.0.0.1:9464'`. Default `'off'`. */
  metrics?: string | number;
  /** The page for operators, such as `'127.0.0.1:3900'`. Default `'off'`. */
  dashboard?: string | number;
  /** The host's name, as `ps` and the page show it. Default that of the directory. */
  name?: string;
  /**
   * A name by which tenants outlive this host and are found by the next one; `'on'`: one made of
   * the directory. Default `'off'`.
   */
  survive?: string;
  /** How long they wait for the next host. Default `'1m'`. */
  surviveFor?: ConfigTime | 'forever';
  /** Asks a host that has the name to leave its tenants to this one. Default `false`. */
  takeOver?: boolean;
  /** Serves together with other hosts, which share `'etcd://host:port,host:port/prefix'`. */
  fleet?: string;
  /** The name of this host in the fleet. Default: that of the machine. */
  hostId?: string;
  /** Where other hosts of the fleet reach this one, such as `'http://10.0.0.5:7070'`. */
  hostAddress?: string;
  /** A file with what hosts of the fleet know each other by: 16 bytes or more, the same for all. */
  fleetSecretFile?: string;
  /** Keeps what tenants print in files there, too. */
  logDir?: string;
  /** The control socket. */
  control?: string;
  /**
   * What differs for one tenant. It is asked at each start, and read again on SIGHUP. A throw fails
   * that start.
   */
  tenant?: (key: string) => TenantConfig | Promise<TenantConfig>;
};

/** What may be said of all tenants, and of each. */
export type ConfigOfTenant = {
  /** How long a tenant without requests runs on, or `'never'`: it is not stopped. Default `'5m'`. */
  idle?: ConfigTime | 'never';
  /** Memory, or `'none'`: no limit. Default `'512M'`. */
  memory?: ConfigSize | 'none';
  /** Cores, or `'none'`. Default 1. */
  cpus?: number | 'none';
  /** Processes and threads, or `'none'`. Default 200. */
  processes?: number | 'none';
  /** Walls around each tenant, or `'none'`. Default `'tenant'`. */
  isolation?: 'tenant' | 'none';
  /** `'20000:10000'`: a user of its own for each tenant, where the host is root. Default `'none'`. */
  userRange?: string;
  /**
   * `'best-effort'` (default): limits and walls are kept as far as this host can; `'required'`: it
   * is an error if it cannot.
   */
  enforce?: 'best-effort' | 'required';
  /** Between SIGTERM and SIGKILL. Default `'5s'`. */
  stopTimeout?: ConfigTime;
  /** For a tenant to answer, from its start. Default `'30s'`. */
  readinessTimeout?: ConfigTime;
};

/**
 * What one tenant has instead: keys of the config, or options of the library. Of `limits` and
 * `isolation` only the fields that are given replace those of all tenants. `env` comes on top of
 * the few variables of the host that each tenant has, such as PATH; one that is undefined is left
 * out.
 */
export type TenantConfig = Omit<ConfigOfTenant, 'isolation'> &
  Omit<TenantSettings, 'isolation'> & { isolation?: TenantIsolationSetting };
