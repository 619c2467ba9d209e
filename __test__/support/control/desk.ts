/**
 * A host with a control, and a client of it: `await using desk = await openDesk(…)`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createControl,
  type Control,
  type ControlOptions,
  type ControlTenantDetail,
} from '@absolutejs/runtime/control';
import { fieldsFor } from '../../../lib/control/token.js';
import { House, open, type Setup } from '../gateway/house.ts';
import { until, within } from '../processes/until.ts';

export type Answer = {
  status: number;
  headers: IncomingMessage['headers'];
  text: string;
  body: any;
};
/** An event of a stream. */
export type Told = { event: string; data: any; id?: string };

/** Prints a line for each request; the path says what else it does. */
export const TALKER = `
console.log('listening soon');
console.error('\\u001b[31mred\\u001b[0m');
Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT,
  fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === '/exit') process.exit(7);
    if (pathname === '/500') return new Response('no', { status: 500 });
    const text = searchParams.get('say') ?? 'asked';
    const times = Number(searchParams.get('times') ?? 1);
    for (let time = 0; time < times; time += 1) console.log(text.replace('#', time));
    return new Response('yes');
  },
});
`;

export const BROKEN = `console.error('cannot find the database'); process.exit(3);`;

export class Desk implements AsyncDisposable {
  readonly house: House;
  readonly control: Control;
  readonly path: string;
  readonly directory: string;

  constructor(house: House, control: Control, path: string, directory: string) {
    this.house = house;
    this.control = control;
    this.path = path;
    this.directory = directory;
  }

  ask(path: string, method = 'GET', headers: Record<string, string> = {}): Promise<Answer> {
    return askAt(this.path, path, method, headers);
  }

  async get(path: string): Promise<any> {
    const { status, body, text } = await this.ask(path);
    if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
    return body;
  }

  tenant(key: string): Promise<ControlTenantDetail> {
    return this.get(`/tenants/${encodeURIComponent(key)}`);
  }

  /** Until the tenant has this line in memory. */
  async line(key: string, text: string): Promise<void> {
    await this.eventually(`the line ${text}`, async () => {
      const { lines } = await this.get(`/tenants/${encodeURIComponent(key)}/logs?n=10000`);
      return lines.some(({ line }: { line: string }) => line === text);
    });
  }

  async eventually<T>(what: string, look: () => Promise<T>): Promise<NonNullable<T>> {
    let found: T | undefined;
    let asking = false;
    return (await until(what, () => {
      if (!asking) {
        asking = true;
        look().then(
          (value) => ((found = value), (asking = false)),
          () => (asking = false),
        );
      }
      return found || undefined;
    })) as NonNullable<T>;
  }

  follow(path: string, headers: Record<string, string> = {}): Followed {
    return new Followed(this.path, path, headers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _ = this.house;
    await within('close of the control', this.control.close());
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A client that stays. */
export class Followed implements Disposable {
  readonly told: Told[] = [];
  isOver = false;
  #text = '';
  readonly #asked;

  constructor(socketPath: string, path: string, headers: Record<string, string>) {
    const accept = 'text/event-stream';
    const fields = { ...fieldsFor(socketPath), accept, ...headers };
    this.#asked = request({ socketPath, path, agent: false, headers: fields });
    this.#asked.on('response', (response) => {
      response.setEncoding('utf8');
      response.on('data', (text) => this.#read(text));
      response.on('close', () => (this.isOver = true));
    });
    this.#asked.on('error', () => (this.isOver = true));
    this.#asked.end();
  }

  #read(text: string): void {
    this.#text += text;
    const parts = this.#text.split('\n\n');
    this.#text = parts.pop() ?? '';
    for (const part of parts) {
      const fields = Object.fromEntries(
        part
          .split('\n')
          .map((line) => [line.split(': ', 1)[0], line.slice(line.indexOf(': ') + 2)]),
      );
      if (fields.event === undefined) continue;
      const { event, data, id } = fields;
      this.told.push({ event, data: JSON.parse(data ?? 'null'), ...(id ? { id } : {}) });
    }
  }

  /** The first event of this kind that fits, once it is there. */
  next(event: string, fits: (data: any) => boolean = () => true): Promise<Told> {
    return until(`the event ${event}`, () =>
      this.told.find((told) => told.event === event && fits(told.data)),
    );
  }

  [Symbol.dispose](): void {
    this.#asked.destroy();
  }
}

export function askAt(
  socketPath: string,
  path: string,
  method = 'GET',
  headers: Record<string, string> = {},
): Promise<Answer> {
  const answer = new Promise<Answer>((resolve, reject) => {
    const fields = { ...fieldsFor(socketPath), ...headers };
    const asked = request({ socketPath, path, method, headers: fields, agent: false });
    asked.on('error', reject);
    asked.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part) => (text += part));
      response.on('end', () => {
        const body = text === '' ? undefined : JSON.parse(text);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body });
      });
    });
    asked.end();
  });
  return within(`${method} ${path}`, answer);
}

export async function openDesk(
  setup: Setup & { control?: Partial<ControlOptions> } = {},
): Promise<Desk> {
  const house = await open({ tenants: { hello: TALKER, broken: BROKEN }, ...setup });
  const directory = mkdtempSync(join(tmpdir(), 'abs-control-'));
  const path = join(directory, 'control.sock');
  const { runtime, gateway } = house;
  try {
    const control = createControl({ runtime, gateway, path, ...setup.control });
    await within('listening', control.listening);
    return new Desk(house, control, path, directory);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    await house[Symbol.asyncDispose]();
    throw error;
  }
}
