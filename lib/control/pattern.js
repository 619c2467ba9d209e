/**
 * Patterns that operators look for in lines. Their meaning is that of a JavaScript regular
 * expression, and the matcher is of its own: it follows all ways through the pattern at once, so
 * that the work is at most the length of the text times the size of the pattern. A backtracking
 * one could be kept busy for years by one line of a tenant's.
 */
import { badQuery } from './refusal.js';

/** The most instructions of a pattern: `(a{100}){100}` is refused. */
const MOST_INSTRUCTIONS = 500;
const MOST_CHARACTERS = 500;

/** @typedef {(code: number) => boolean} Fits */
/**
 * @typedef {{ op: 'unit', fits: Fits, next: number }
 *   | { op: 'fork', next: number, other: number }
 *   | { op: 'assert', holds: (text: string, at: number) => boolean, next: number }
 *   | { op: 'match' }} Instruction
 */

/**
 * How much more a search may do; a search that is over it ends.
 * @typedef {{ steps: number }} Budget
 */

/**
 * @param {string} source `(?i)` at its beginning: in upper or lower case
 * @returns {(text: string, budget: Budget) => boolean} whether the text has the pattern in it
 */
export function patternOf(source) {
  if (source.length > MOST_CHARACTERS) {
    throw badQuery(`grep must not be longer than ${MOST_CHARACTERS} characters`);
  }
  if (!/[\\^$.*+?()[\]{}|]/.test(source)) {
    return (text, budget) => {
      budget.steps -= 8 + text.length / 16;
      return text.includes(source);
    };
  }
  const program = compile(source);
  return (text, budget) => search(program, text, budget);
}

/**
 * @param {Instruction[]} program
 * @param {string} text
 * @param {Budget} budget
 */
function search(program, text, budget) {
  const seen = new Int32Array(program.length).fill(-1);
  /** @type {number[]} */
  let now = [];
  /** @type {number[]} */
  let then = [];
  /** @type {number[]} */
  const stack = [];

  /** Adds what can be reached without a unit. Returns whether that is the end. */
  const add = (
    /** @type {number[]} */ list,
    /** @type {number} */ from,
    /** @type {number} */ at,
  ) => {
    stack.push(from);
    for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
      if (seen[place] === at) continue;
      seen[place] = at;
      budget.steps -= 1;
      const instruction = /** @type {Instruction} */ (program[place]);
      if (instruction.op === 'match') return true;
      if (instruction.op === 'unit') list.push(place);
      else if (instruction.op === 'fork') stack.push(instruction.other, instruction.next);
      else if (instruction.holds(text, at)) stack.push(instruction.next);
    }
    return false;
  };

  for (let at = 0; at <= text.length && budget.steps > 0; at += 1) {
    if (add(now, 0, at)) return true;
    if (at === text.length) return false;
    const code = text.charCodeAt(at);
    for (const place of now) {
      const { fits, next } = /** @type {Instruction & { op: 'unit' }} */ (program[place]);
      budget.steps -= 1;
      if (fits(code) && add(then, next, at + 1)) return true;
    }
    [now, then] = [then, now];
    then.length = 0;
  }
  return false;
}

/** @param {number} code */
const isDigit = (code) => code >= 48 && code <= 57;
/** @param {number} code */
const isWord = (code) =>
  isDigit(code) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95;
/** @param {number} code */
const isSpace = (code) => /\s/.test(String.fromCharCode(code));
/** @param {number} code */
const isNewline = (code) => code === 10 || code === 13 || code === 0x2028 || code === 0x2029;

/** @type {Record<string, Fits>} */
const CLASSES = {
  d: isDigit,
  D: (code) => !isDigit(code),
  w: isWord,
  W: (code) => !isWord(code),
  s: isSpace,
  S: (code) => !isSpace(code),
};
/** @type {Record<string, number>} */
const CONTROLS = { n: 10, r: 13, t: 9, v: 11, f: 12, 0: 0 };

/** @param {string} text @param {number} at */
const isAtWordEdge = (text, at) =>
  isWord(at > 0 ? text.charCodeAt(at - 1) : 0) !==
  isWord(at < text.length ? text.charCodeAt(at) : 0);

/**
 * A reader of a pattern, which writes the program.
 * @param {string} source
 * @returns {Instruction[]}
 */
function compile(source) {
  const ignoresCase = source.startsWith('(?i)');
  let at = ignoresCase ? 4 : 0;
  /** @type {Instruction[]} */
  const program = [];

  const refuse = (/** @type {string} */ why) =>
    badQuery(`grep is not a pattern that can be looked for: ${why} (at character ${at + 1})`);
  const isNext = (/** @type {string} */ text) =>
    source.startsWith(text, at) && ((at += text.length), true);

  /** @param {Instruction} instruction */
  function emit(instruction) {
    if (program.length >= MOST_INSTRUCTIONS) throw refuse('it is too large');
    return program.push(instruction) - 1;
  }

  /**
   * Each part writes itself anew when it is called, so that repetitions can.
   * @typedef {() => void} Part
   */

  /** @returns {Part} */
  function alternatives() {
    const parts = [sequence()];
    while (isNext('|')) parts.push(sequence());
    return () => {
      /** @type {number[]} */
      const ends = [];
      parts.forEach((part, index) => {
        if (index === parts.length - 1) return part();
        const fork = emit({ op: 'fork', next: program.length + 1, other: -1 });
        part();
        ends.push(emit({ op: 'fork', next: -1, other: -1 }));
        Object.assign(/** @type {Instruction} */ (program[fork]), { other: program.length });
      });
      for (const end of ends) {
        Object.assign(/** @type {Instruction} */ (program[end]), {
          next: program.length,
          other: program.length,
        });
      }
    };
  }

  /** @returns {Part} */
  function sequence() {
    /** @type {Part[]} */
    const parts = [];
    while (at < source.length && source[at] !== '|' && source[at] !== ')') parts.push(repeated());
    return () => parts.forEach((part) => part());
  }

  /** @returns {Part} */
  function repeated() {
    const part = atom();
    const [least, most] = bounds();
    if (least === 1 && most === 1) return part;
    if (/[*+?{]/.test(source[at] ?? '') && bounds() !== ONCE) throw refuse('nothing to repeat');
    return () => {
      for (let count = 0; count < least; count += 1) part();
      if (most === Infinity) {
        const fork = emit({ op: 'fork', next: program.length + 1, other: -1 });
        part();
        emit({ op: 'fork', next: fork, other: fork });
        Object.assign(/** @type {Instruction} */ (program[fork]), { other: program.length });
        return;
      }
      const forks = [];
      for (let count = least; count < most; count += 1) {
        forks.push(emit({ op: 'fork', next: program.length + 1, other: -1 }));
        part();
      }
      for (const fork of forks) {
        Object.assign(/** @type {Instruction} */ (program[fork]), { other: program.length });
      }
    };
  }

  /** How often, least and most. @returns {readonly [number, number]} */
  function bounds() {
    const given = /^(?:[*+?]|\{(\d{1,4})(?:(,)(\d{0,4}))?\})/.exec(source.slice(at, at + 12));
    if (given === null) return ONCE;
    const [text, least = '', comma, most = ''] = given;
    at += text.length;
    isNext('?');
    if (text === '*') return [0, Infinity];
    if (text === '+') return [1, Infinity];
    if (text === '?') return [0, 1];
    const upTo = comma === undefined ? Number(least) : most === '' ? Infinity : Number(most);
    if (upTo < Number(least)) throw refuse('the numbers are out of order');
    return [Number(least), upTo];
  }

  /** @returns {Part} */
  function atom() {
    const character = /** @type {string} */ (source[at]);
    if (isNext('(')) return group();
    if (isNext('[')) return unit(set());
    if (isNext('.')) return unit((code) => !isNewline(code));
    if (isNext('^')) return assertion((_, place) => place === 0);
    if (isNext('$')) return assertion((text, place) => place === text.length);
    if (isNext('\\b')) return assertion(isAtWordEdge);
    if (isNext('\\B')) return assertion((text, place) => !isAtWordEdge(text, place));
    if ('*+?'.includes(character)) throw refuse('nothing to repeat');
    return unit(escaped());
  }

  /** @returns {Part} */
  function group() {
    if (/^\?(?:[=!]|<[=!])/.test(source.slice(at, at + 3)))
      throw refuse('it looks ahead or behind');
    const kind = /^\?(?::|<[A-Za-z_$][\w$]*>)/.exec(source.slice(at, at + 100));
    if (kind !== null) at += kind[0].length;
    else if (source[at] === '?') throw refuse('this kind of group is unknown');
    const part = alternatives();
    if (!isNext(')')) throw refuse('a group is not closed');
    return part;
  }

  /** @returns {Fits} */
  function set() {
    const isNot = isNext('^');
    /** @type {Fits[]} */
    const all = [];
    while (!isNext(']')) {
      if (at >= source.length) throw refuse('a class is not closed');
      all.push(range());
    }
    const fits = (/** @type {number} */ code) => all.some((one) => one(code));
    const whole = ignoresCase ? inEitherCase(fits) : fits;
    return isNot ? (code) => !whole(code) : whole;
  }

  /** @returns {Fits} */
  function range() {
    const from = inSet();
    if (typeof from !== 'number' || source[at] !== '-' || source[at + 1] === ']')
      return fitting(from);
    at += 1;
    const to = inSet();
    if (typeof to !== 'number' || to < from) throw refuse('a range is out of order');
    return (code) => code >= from && code <= to;
  }

  const inSet = () => (isNext('\\b') ? 8 : one());
  const escaped = () => {
    const fits = fitting(one());
    return ignoresCase ? inEitherCase(fits) : fits;
  };

  /** A unit, or a class of them. @returns {number | Fits} */
  function one() {
    if (!isNext('\\')) return source.charCodeAt(at++);
    const character = source[at++];
    if (character === undefined) throw refuse('a backslash ends it');
    const code = /^(?:x([\da-f]{2})|u([\da-f]{4}))/i.exec(source.slice(at - 1, at + 4));
    if (code !== null) {
      at += code[0].length - 1;
      return Number.parseInt(code[1] ?? code[2] ?? '', 16);
    }
    if (/[1-9k]/.test(character)) throw refuse('it refers to a group');
    if (/[pPuxc]/.test(character)) throw refuse(`\\${character} is not known`);
    return CLASSES[character] ?? CONTROLS[character] ?? character.charCodeAt(0);
  }

  /** @param {Fits} fits @returns {Part} */
  const unit = (fits) => () => void emit({ op: 'unit', fits, next: program.length + 1 });
  /** @param {(text: string, at: number) => boolean} holds @returns {Part} */
  const assertion = (holds) => () => void emit({ op: 'assert', holds, next: program.length + 1 });

  const whole = alternatives();
  if (at < source.length) throw refuse('a bracket is closed that is not open');
  whole();
  emit({ op: 'match' });
  return program;
}

const ONCE = /** @type {const} */ ([1, 1]);

/** @param {number | Fits} one @returns {Fits} */
const fitting = (one) => (typeof one === 'number' ? (code) => code === one : one);

/** @param {Fits} fits @returns {Fits} */
const inEitherCase = (fits) => (code) => {
  if (fits(code)) return true;
  const text = String.fromCharCode(code);
  return fits(text.toLowerCase().charCodeAt(0)) || fits(text.toUpperCase().charCodeAt(0));
};
