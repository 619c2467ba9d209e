// What has been told of each process by all hosts, one after the other, and what must hold of it.

/**
 * @typedef {object} Known a process
 * @property {string} key
 * @property {number} pid
 * @property {boolean} isReady it has been
 * @property {number} exits how many were told
 * @property {number} exitAtMs when the last one was, in milliseconds since the epoch
 * @property {boolean} isTold the callback that was told of its exit has returned
 * @property {number} cpuMs
 * @property {number[]} next the number of the next line of stdout and stderr
 * @property {number} missing lines that were not told
 * @property {number} counted lines that were said to be lost
 */

export class Model {
  /** By key and pid. @type {Map<string, Known>} */
  #known = new Map();
  figures = {
    spawns: 0,
    recoveries: 0,
    exits: 0,
    /** An exit whose callback had not returned when the host was lost, and that the next one told again. */
    exitsToldTwice: 0,
    /** Ends of starts that were called off by the loss of their host, and were not told. */
    startsWithoutExit: 0,
    lines: 0,
    missing: 0,
    counted: 0,
    repeated: 0,
  };
  #violation;

  /** @param {(text: string) => void} violation */
  constructor(violation) {
    this.#violation = violation;
  }

  /** A host of its own. @returns {Life} */
  begin() {
    return new Life(this);
  }

  /** @param {Known} known */
  static #name = ({ key, pid }) => `${key} ${pid}`;

  /** @param {string} key @param {number} pid */
  find = (key, pid) => this.#known.get(`${key} ${pid}`);

  /** @param {string} key @param {number} pid @returns {Known} */
  add(key, pid) {
    const before = this.find(key, pid);
    if (before !== undefined && before.exits === 0) this.#violation(`${key} ${pid} began twice`);
    const known = {
      ...{ key, pid, isReady: false, exits: 0, exitAtMs: 0, isTold: false, cpuMs: 0 },
      ...{ next: [0, 0], missing: 0, counted: 0 },
    };
    this.#known.set(Model.#name(known), known);
    return known;
  }

  /** @param {string} text */
  wrong = (text) => this.#violation(text);

  /** Those whose end has not been told. */
  living = () => [...this.#known.values()].filter(({ exits }) => exits === 0);

  /** The end of one will not be told any more. @param {Known} known */
  forget = (known) => void this.#known.delete(Model.#name(known));

  /** What must hold once no more can be told of a process. @param {Known} known */
  close(known) {
    this.figures.missing += known.missing;
    this.figures.counted += known.counted;
    if (known.missing > known.counted) {
      this.wrong(
        `${known.key} ${known.pid}: ${known.missing} lines are missing, ${known.counted} were counted`,
      );
    }
  }
}

/** What one host tells. */
export class Life {
  #model;
  /** What was recovered, before all was known. @type {Set<Known>} */
  #found = new Set();
  /** What it has begun itself, which may be told before it is that all is known. @type {Set<Known>} */
  #begun = new Set();
  isRecovered = false;
  isLeft = false;
  /** @param {Model} model */
  constructor(model) {
    this.#model = model;
  }

  /** @param {any} told */
  take(told) {
    switch (told.of) {
      case 'transition':
        return this.#transition(told.event);
      case 'told':
        return this.#told(told.event);
      case 'observation':
        return this.#observation(told.event);
      case 'line':
        return this.#line(told.event);
      case 'recovered':
        return this.#recovered(told);
      case 'error':
        return this.#model.wrong(told.text);
    }
  }

  /** @param {any} event */
  #transition(event) {
    const { type, key, pid } = event;
    const model = this.#model;
    const { figures } = model;
    const known = key === undefined ? undefined : model.find(key, pid);
    switch (type) {
      case 'spawn':
        figures.spawns += 1;
        return void this.#begun.add(model.add(key, pid));
      case 'recover': {
        figures.recoveries += 1;
        // Its spawn may have been on its way to a host that was lost. Then it is told of here first,
        // and an earlier process of the key may have had its pid.
        const isKnown = known && !(known.exits > 0 && event.startedAt > known.exitAtMs);
        const found = isKnown ? known : model.add(key, pid);
        if (found.exits > 0) {
          if (found.isTold) model.wrong(`${key} ${pid} was recovered after its exit`);
          figures.exitsToldTwice += 1;
          [found.exits, found.isTold] = [0, false];
        }
        if (event.cpuMs < found.cpuMs)
          model.wrong(`${key} ${pid}: ${event.cpuMs} ms of CPU after ${found.cpuMs}`);
        found.cpuMs = event.cpuMs;
        found.counted += event.linesLost;
        return void this.#found.add(found);
      }
      case 'ready':
        if (known === undefined) return model.wrong(`${key} ${pid} is ready and unknown`);
        known.isReady = true;
        return;
      case 'exit':
        figures.exits += 1;
        if (known === undefined) return model.wrong(`${key} ${pid} has ended and is unknown`);
        known.exits += 1;
        known.exitAtMs = Date.now();
        if (known.exits > 1) model.wrong(`${key} ${pid} has ended twice`);
        return model.close(known);
      case 'detach':
        this.isLeft = true;
    }
  }

  /** @param {any} event */
  #told({ key, pid }) {
    const known = this.#model.find(key, pid);
    if (known !== undefined) known.isTold = true;
  }

  /** @param {any} event */
  #observation({ key, pid, cpuMs }) {
    const known = this.#model.find(key, pid);
    if (known === undefined) return this.#model.wrong(`${key} ${pid} is observed and unknown`);
    if (cpuMs < known.cpuMs)
      this.#model.wrong(`${key} ${pid}: ${cpuMs} ms of CPU after ${known.cpuMs}`);
    known.cpuMs = cpuMs;
  }

  /** @param {any} event */
  #line({ key, pid, stream, line }) {
    const known = this.#model.find(key, pid);
    const [, text = '', whose] = /^(\d+) (\S+) \.$/.exec(line) ?? [];
    if (/^\[… \d+ lines dropped …\]$/.test(line)) {
      if (known !== undefined) known.counted += Number(/\d+/.exec(line));
      return;
    }
    if (known === undefined || whose !== key)
      return this.#model.wrong(`a line of ${key} ${pid}: ${line.slice(0, 100)}`);
    this.#model.figures.lines += 1;
    const index = stream === 'stdout' ? 0 : 1;
    const number = Number(text);
    const next = known.next[index] ?? 0;
    if (number < next) {
      // A host that is lost while it tells what was kept has told a part of it.
      this.#model.figures.repeated += 1;
      return;
    }
    known.missing += number - next;
    known.next[index] = number + 1;
  }

  /** @param {{ code?: string, list?: { key: string, pid: number }[] }} told */
  #recovered({ code, list = [] }) {
    if (code !== undefined) return;
    this.isRecovered = true;
    const model = this.#model;
    for (const known of model.living()) {
      if (this.#found.has(known) || this.#begun.has(known)) continue;
      if (known.isReady)
        model.wrong(`${known.key} ${known.pid} was ready, and was not found again`);
      else model.figures.startsWithoutExit += 1;
      model.forget(known);
    }
    for (const { key, pid } of list) {
      if (model.find(key, pid) === undefined) model.wrong(`${key} ${pid} is listed and unknown`);
    }
  }
}
