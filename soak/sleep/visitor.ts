// One app as its visitors know it: each answer is checked against those before it. A process that
// answers is the one of before, with all that it had in memory; or that one's end was told.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { kindOf, PATH } from './apps.mjs';
import { within } from '../../__test__/support/processes/until.ts';
import type { Model } from './model.mjs';

const PATIENCE_MS = 60_000;
/** A timer that catches up has not counted what is younger than its last tick. */
const CAUGHT_UP_SECONDS = 2;
/** What a plain timer may lose on a busy machine: of the whole time, and besides. */
const LOST_SHARE = 0.05;
const LOST_SECONDS = 5;
const JOBS = 10;

type Answer = { key: string; pid: number; boot: string; count: number } & Record<string, any>;

/** What all visitors have in common. */
export type Day = {
  /** The gateway's. */
  port: number;
  model: Model;
  agent: Agent;
  violation: (text: string) => void;
};

export class Visitor {
  readonly key: string;
  /** How long answers took: from an app that slept, and from others. */
  static readonly wokenMs: number[] = [];
  static readonly awakeMs: number[] = [];
  static statuses: Record<string, number> = {};
  readonly #day: Day;
  #last: Answer | undefined;
  #total = 0;
  #socket: WebSocket | undefined;
  #turn: Promise<void> = Promise.resolve();
  #isLeft = false;

  constructor(key: string, day: Day) {
    [this.key, this.#day] = [key, day];
  }

  /** Visits it, after the visits before. */
  visit(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#visit()).catch(this.#wrong);
    return this.#turn;
  }

  readonly #wrong = (error: Error) => this.#day.violation(`${this.key}: ${error.message}`);

  /** It is visited no more. */
  leave(): void {
    this.#isLeft = true;
    this.#socket?.close();
  }

  async #visit(): Promise<void> {
    const before = this.#last;
    const sleeper = before && this.#day.model.of(this.key, before.pid)?.isAsleep ? before.pid : 0;
    const from = performance.now();
    const answer = await this.#check(await this.#ask());
    const ms = performance.now() - from;
    // The others wait for something of their own.
    if (['bun', 'node', 'express', 'sqlite'].includes(kindOf(this.key)))
      (sleeper === answer.pid ? Visitor.wokenMs : Visitor.awakeMs).push(ms);
    await this.#checkKind(answer, before?.boot === answer.boot ? before : undefined);
  }

  async #ask(): Promise<Answer> {
    const outgoing = request({
      ...{ agent: this.#day.agent, host: '127.0.0.1', port: this.#day.port, timeout: PATIENCE_MS },
      ...{ path: PATH, headers: { host: `${this.key}.localhost` } },
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer in ${PATIENCE_MS} ms`)));
    outgoing.end();
    const [response] = await once(outgoing, 'response');
    let text = '';
    for await (const chunk of response) text += chunk;
    const { statusCode } = response;
    Visitor.statuses[statusCode] = (Visitor.statuses[statusCode] ?? 0) + 1;
    if (statusCode !== 200) throw new Error(`${statusCode} ${text.slice(0, 200)}`);
    return JSON.parse(text);
  }

  /** It is of this app, and goes on where the one before ended. */
  async #check(answer: Answer): Promise<Answer> {
    const before = this.#last;
    this.#last = answer;
    if (answer.key !== this.key) throw new Error(`${answer.key} has answered`);
    const expected = before?.boot === answer.boot ? before.count + 1 : 1;
    if (answer.count !== expected)
      throw new Error(`visit ${answer.count} of process ${answer.pid}, not ${expected}`);
    const isNext = before !== undefined && before.boot !== answer.boot;
    if (isNext && !(await this.#day.model.isOver(this.key, before.pid)))
      throw new Error(`${answer.pid} has answered, and the end of ${before.pid} was not told`);
    return answer;
  }

  async #checkKind(answer: Answer, before: Answer | undefined): Promise<void> {
    switch (kindOf(this.key)) {
      case 'timer':
        return this.#checkTimer(answer, CAUGHT_UP_SECONDS);
      case 'kept':
        return this.#checkTimer(answer, LOST_SECONDS + (LOST_SHARE * answer.ms) / 1_000);
      case 'queue': {
        const { accepted, done, isInOrder } = answer;
        const isRight = done === (before?.accepted ?? 0) && accepted === done + JOBS && isInOrder;
        if (!isRight) throw new Error(`of its jobs ${JSON.stringify(answer)} are done`);
        return;
      }
      case 'sqlite': {
        this.#total += 1;
        if (answer.total !== this.#total)
          throw new Error(`its database has ${answer.total} visits of ${this.#total}`);
        return;
      }
      case 'udp':
        return this.#checkDatagram(answer);
      case 'socket':
        return this.#checkSocket(answer);
    }
  }

  #checkTimer({ seconds, ms }: Answer, lostSeconds: number): void {
    if (ms / 1_000 - seconds > lostSeconds)
      throw new Error(`its timer has counted ${seconds} s of ${ms} ms`);
  }

  /**
   * What the gateway does not watch over may be cut off by the end of the process, if that is told:
   * then there is no answer.
   */
  async #unlessOver<T>(pid: number, answer: Promise<T>): Promise<T | undefined> {
    return answer.catch(async (error) => {
      if (!(await this.#day.model.isOver(this.key, pid))) throw error;
      return undefined;
    });
  }

  async #checkDatagram({ pid, boot, udpPort }: Answer): Promise<void> {
    const socket = createSocket('udp4');
    try {
      socket.send('anyone?', udpPort, '127.0.0.1');
      const answer = within('an answer over UDP', once(socket, 'message'));
      const [data] = (await this.#unlessOver(pid, answer)) ?? [];
      if (data !== undefined && `${data}` !== `anyone? ${boot}`)
        throw new Error(`over UDP: ${data}`);
    } finally {
      socket.close();
    }
  }

  async #checkSocket({ pid }: Answer): Promise<void> {
    const data = await this.#unlessOver(pid, this.#saidOverSocket(pid));
    if (data !== undefined) await this.#check(JSON.parse(data));
  }

  /** Its WebSocket is the one of before, as long as its process is; half of all pass the gateway. */
  async #saidOverSocket(pid: number): Promise<string> {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      const isDirect = Number(this.key.split('-')[1]) % 2 === 1;
      const { port } = isDirect ? await this.#day.model.told(this.key, pid) : this.#day;
      const headers = { host: `${this.key}.localhost` };
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers } as never);
      this.#socket = socket;
      await within('an open WebSocket', once(socket as never, 'open'));
      const closed = once(socket as never, 'close').then(() => {
        if (!this.#isLeft) throw new Error('a WebSocket was closed');
      });
      this.#unlessOver(pid, closed).catch(this.#wrong);
    }
    const said = once(this.#socket as never, 'message');
    this.#socket.send('anyone?');
    const [{ data }] = await within('an answer over a WebSocket', said);
    return data;
  }
}
