// Certificates of hosts, made by openssl as its users do.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Without it there are no certificates, and their tests are skipped. */
export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** An authority, and those whose certificates it signs, all of them at 127.0.0.1. */
export class Authority implements Disposable {
  #place = mkdtempSync(join(tmpdir(), 'authority-'));

  constructor() {
    this.#openssl('req', '-x509', ...KEY, '-subj', '/CN=fleet', '-days', '2', ...this.#out('ca'));
  }

  get ca(): string {
    return this.#read('ca.pem');
  }

  /** What `createFleet` takes as `tls`. One that is valid for -1 days is over since yesterday. */
  certify(id: string, days = 2): { cert: string; key: string; ca: string } {
    const { ca } = this;
    const [request, key, cert] = ['csr', 'key', 'pem'].map((kind) => this.#path(`${id}.${kind}`));
    const names = ['-subj', `/CN=${id}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
    this.#openssl('req', ...KEY, ...names, '-keyout', key!, '-out', request!);
    const signed = ['-CA', this.#path('ca.pem'), '-CAkey', this.#path('ca.key'), '-CAcreateserial'];
    const copied = ['-copy_extensions', 'copy', '-days', `${days}`];
    this.#openssl('x509', '-req', '-in', request!, ...signed, ...copied, '-out', cert!);
    return { cert: this.#read(`${id}.pem`), key: this.#read(`${id}.key`), ca };
  }

  [Symbol.dispose](): void {
    rmSync(this.#place, { recursive: true, force: true });
  }

  #path = (name: string) => join(this.#place, name);
  #out = (name: string) => [
    '-keyout',
    this.#path(`${name}.key`),
    '-out',
    this.#path(`${name}.pem`),
  ];
  #read = (name: string) => readFileSync(this.#path(name), 'utf8');

  #openssl(...args: string[]): void {
    const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
  }
}
