/// <reference lib="esnext.disposable" />

/**
 * Many hosts, each tenant in exactly one place: hosts share a store (etcd), in which each key is
 * claimed by one of them. A gateway of any of them serves every key: its own tenants, or by passing
 * the request on, once, to the host that has the key.
 *
 * What is promised under which fault, and how to set it up, is in docs/fleet.md.
 *
 * Durations are milliseconds; times are milliseconds since the epoch.
 *
 * @packageDocumentation
 */
import type { Gateway } from './gateway.js';
import type { Runtime } from './index.js';

/**
 * Makes this host a part of a fleet. Returns at once; `joined` tells when it is. It keeps the process
 * alive until it is closed, and `runtime.dispose()` closes it.
 *
 * From this call on the runtime starts only tenants whose keys this host has claimed, with
 * `ABSOLUTE_EPOCH` in their environment; tenants that it has by then end (reason `moved`). So
 * `runtime.ensure` of another key rejects with `ERR_RUNTIME_NOT_CLAIMED`: ask `fleet.ensure`. That
 * stays so when the fleet is closed.
 *
 * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) on invalid options, naming the option by its
 * path; for a runtime with `survive` or `checkpoint`, or one that is in a fleet already
 * @throws {RuntimeError} `ERR_RUNTIME_DISPOSED` when the runtime has been disposed;
 * `ERR_RUNTIME_UNSUPPORTED` when the runtime is that of another version of the package
 *
 * @example
 * ```ts
 * import { createRuntime } from '@absolutejs/runtime';
 * import { createGateway } from '@absolutejs/runtime/gateway';
 * import { createFleet, etcd } from '@absolutejs/runtime/fleet';
 *
 * const runtime = createRuntime({ source: { kind: 'directory', root: './tenants' } });
 * const gateway = createGateway({ runtime, route: { by: 'subdomain', domain: 'example.com' } });
 * const fleet = createFleet({
 *   runtime,
 *   gateway,
 *   store: etcd({ endpoints: ['http://10.0.0.2:2379'] }),
 *   host: { id: 'eu-1', address: 'http://10.0.0.5:7070' },
 *   secret: process.env.FLEET_SECRET ?? '',
 * });
 * await fleet.joined;
 *
 * process.once('SIGTERM', async () => {
 *   await fleet.drain(); // other hosts have the tenants of this one
 *   await runtime.dispose();
 * });
 * ```
 */
export function createFleet(options: FleetOptions): Fleet;

/**
 * A store in etcd, 3.4 or newer. Describes it, and connects to nothing.
 *
 * @throws {TypeError} (`ERR_RUNTIME_INVALID_OPTION`) on invalid options
 */
export function etcd(options: EtcdOptions): FleetStore;

/** What `createFleet` takes. */
export type FleetOptions = {
  /** The runtime of this host. It has neither `survive` nor `checkpoint`. */
  runtime: Runtime;
  /**
   * The gateway in front of the runtime, or several. All gateways of the runtime serve the whole
   * fleet, whether they are given here or created later; those that are given are checked.
   */
  gateway?: Gateway | readonly Gateway[];
  /** What the hosts share: the same for all of them. */
  store: FleetStore;
  /** This host. */
  host: FleetHostOptions;
  /**
   * How long this host may serve without hearing from the store; when it is lost, its tenants are
   * elsewhere after about as long. Whole seconds, at least 2 000, the same for all hosts; another one
   * is given to one host after the other. Default 5 000.
   */
  leaseMs?: number;
  /**
   * What hosts know each other by: at least 16 bytes, the same for all of them. What they say to each
   * other is not encrypted then: use it in a network of your own. Either this or `tls`.
   */
  secret?: string | Uint8Array;
  /** Certificates instead: hosts speak TLS, and accept nobody whose certificate `ca` has not signed. */
  tls?: FleetTls;
  /**
   * How long the open requests of a key that passes to another host may go on; then WebSockets are
   * closed. An answer that is under way is not cut off, and the key waits for its end.
   * New ones wait meanwhile. Default 30 000.
   */
  drainMs?: number;
  /** Called for each event, in order. What it throws is ignored. */
  onEvent?: (event: FleetEvent) => void;
};

/** A host, as it joins. */
export type FleetHostOptions = {
  /**
   * Its name: at most 128 printable ASCII characters without spaces and slashes. No two hosts that
   * live may have the same; one that is started again has the one that it had.
   */
  id: string;
  /**
   * Where other hosts reach it: `http://host:port`, `https://host:port` with `tls`. It listens there,
   * for hosts of the fleet alone.
   */
  address: string;
  /** How many tenants it is to have, in proportion to the others. Default 1. */
  weight?: number;
  /** Where it stands: a rack, a data centre. Told by `hosts()`. */
  zone?: string;
};

/** Certificates of a host, as PEM text. */
export type FleetTls = {
  /** The host's own, followed by those that it is signed with. */
  cert: string;
  key: string;
  /** Who signs the certificates of hosts of the fleet, and nothing else. */
  ca: string;
};

/** A store, as `etcd` describes it. */
export type FleetStore = { readonly kind: 'etcd' };

/** What `etcd` takes. */
export type EtcdOptions = {
  /** The members of the cluster: `http://host:port` or `https://host:port`. */
  endpoints: readonly string[];
  /** What all keys begin with, of one fleet. Begins and ends with a slash. Default `/absolute/`. */
  prefix?: string;
  /** With etcd's authentication. Default none. */
  user?: string;
  /** The user's. */
  password?: string;
  /** Who has signed the members' certificates, as PEM text. Needed with `https`. */
  ca?: string;
  /** This host's own certificate, as PEM text, where the members ask for one. */
  cert?: string;
  /** Its key. */
  key?: string;
};

/** A host's part in a fleet. */
export interface Fleet {
  /**
   * Resolves when this host has joined for the first time. It goes on trying while the store does not
   * answer.
   *
   * @throws {RuntimeError} `ERR_RUNTIME_LISTEN` when it cannot listen at `host.address`, and has ended
   */
  readonly joined: Promise<void>;
  /**
   * Where the key is served, which it is from then on: its tenant is ready here, or the host that has
   * it or gets it is named. Waits until this host has joined.
   *
   * @throws {RuntimeError} `ERR_RUNTIME_NOT_PLACED` (with `reason` and `retryAfterMs`) when no host
   * can have it just now; `ERR_RUNTIME_INVALID_KEY`; of a tenant that is started here, what
   * `runtime.ensure` rejects with
   */
  ensure(key: string): Promise<FleetPlace>;
  /** Who serves the key, as far as is known here. `null`: nobody. */
  where(key: string): FleetOwner | null;
  /**
   * The hosts of the fleet, this one included once it has joined, in the order of their ids. One that
   * is gone is among them for as long as keys are left that it had and nobody has taken yet.
   */
  hosts(): FleetHost[];
  /**
   * This host takes no new keys, and those that it has pass to others: the new tenant starts beside
   * the old one, and no request is lost. Resolves when none is left here. It stays in the fleet, and
   * goes on passing requests.
   */
  drain(): Promise<void>;
  /**
   * Leaves the fleet: ends the tenants of this host in order, and gives their keys up, which others
   * take when they are asked for. (`drain` first, so that none is without a tenant.) Resolves when
   * that is done.
   */
  close(): Promise<void>;
  /** `close`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The host that serves a key. */
export type FleetOwner = {
  /** Its id. */
  host: string;
  /** Where it listens for other hosts. */
  address: string;
  /**
   * Of its claim: digits. A later claim of the key has a larger number (compare as `BigInt`). The
   * tenant has it as `ABSOLUTE_EPOCH`, so that its storage can refuse a tenant of an earlier claim.
   */
  epoch: string;
};

/** Where a key is served. */
export type FleetPlace = FleetOwner & {
  /** Of the tenant, if it is here: at `127.0.0.1`. */
  port?: number;
};

/** A host of the fleet. */
export type FleetHost = {
  id: string;
  /** Empty of one that is gone. */
  address: string;
  /**
   * - `draining`: it takes no new keys, and passes on those that it has
   * - `gone`: it left, or its lease is over. One that has joined again is `live`
   */
  state: 'live' | 'draining' | 'gone';
  /** Keys that it has claimed. Of one that is gone: those that nobody has taken yet. */
  tenants: number;
  /** 0 of one that is gone. */
  weight: number;
  zone?: string;
};

/** What has happened, as this host has seen it. Told apart by `kind`. */
export type FleetEvent =
  | {
      /** This host has the key from now on. */
      kind: 'claim';
      key: string;
      epoch: string;
      at: number;
    }
  | {
      /** This host does not have the key any more, and has not passed it on. */
      kind: 'lost';
      key: string;
      epoch: string;
      at: number;
    }
  | {
      /** This host has passed the key on: to the host `to`, whose claim has this epoch. */
      kind: 'moved';
      key: string;
      to: string;
      epoch: string;
      at: number;
    }
  | {
      /**
       * This host could not renew its lease, or has lost it: its tenants, of so many keys, are killed.
       * It joins again as soon as it can.
       */
      kind: 'fenced';
      keys: number;
      at: number;
    }
  | {
      /** Another host has joined. */
      kind: 'host-joined';
      host: string;
      address: string;
      at: number;
    }
  | {
      /** Another host has left, or its lease is over. */
      kind: 'host-gone';
      host: string;
      at: number;
    }
  | {
      /**
       * An operator has the host `host` ask this one to drain. That has begun: as by `POST /drain` if
       * the runtime has a control, else as by `drain`.
       */
      kind: 'drain-asked';
      host: string;
      at: number;
    }
  | {
      /** A host that lives has this host's id. This one waits until that one is gone. */
      kind: 'id-taken';
      address: string;
      at: number;
    }
  | {
      /** The store came back with an older state, or is another one. This host joins anew. */
      kind: 'rolled-back';
      at: number;
    };
