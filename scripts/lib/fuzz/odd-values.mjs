// Values that a user gives by mistake: they contain themselves, cannot be read, throw, or never
// end.

/** @typedef {import('./random.mjs').Random} Random */

/** A new error each time, so that its stack says where it was thrown. */
const boom = () => new Error('boom of the fuzz');
const thrower = () => {
  throw boom();
};

/**
 * A rejected promise, handled already: the fuzz must not report its own unhandled rejection.
 * @param {unknown} reason
 */
function rejected(reason) {
  const promise = Promise.reject(reason);
  promise.catch(() => {});
  return promise;
}

const never = () => new Promise(() => {});

function cyclicArray() {
  /** @type {unknown[]} */
  const array = [1];
  array.push(array, [array]);
  return array;
}

function cyclicObject() {
  /** @type {Record<string, unknown>} */
  const object = {};
  object.self = object;
  return object;
}

function deepArray() {
  /** @type {unknown[]} */
  let array = [];
  for (let depth = 0; depth < 20_000; depth += 1) array = [array];
  return array;
}

/** @param {object} target */
function revoked(target) {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** A proxy some of whose traps throw. @param {object} target @param {Random} random */
function throwing(target, random) {
  const traps = [
    'get',
    'ownKeys',
    'has',
    'getPrototypeOf',
    'getOwnPropertyDescriptor',
    'apply',
    'construct',
  ];
  const handler = Object.fromEntries(
    traps.filter(() => random.chance(0.5)).map((trap) => [trap, thrower]),
  );
  return new Proxy(target, handler);
}

/** @type {WeakSet<object>} */
const withoutEnd = new WeakSet();

function endlessArray() {
  const array = Object.assign(['bun'], {
    *[Symbol.iterator]() {
      for (;;) yield 'bun';
    },
  });
  withoutEnd.add(array);
  return array;
}

/**
 * Whether the value holds an endless or huge iterable, or one of its values does, as those of
 * headers: the engines' own `Headers` and `String` would read it forever.
 * @param {any} value
 * @param {number} depth
 * @returns {boolean}
 */
export function isWithoutEnd(value, depth = 3) {
  try {
    if (withoutEnd.has(value) || value?.length > 1e6) return true;
    if (depth === 0 || typeof value !== 'object') return false;
    return Object.values(value ?? {}).some((one) => isWithoutEnd(one, depth - 1));
  } catch {
    return false;
  }
}

/**
 * As pids none of these can end a process: 1 is refused, and the others are larger than any pid.
 */
const numbers = [0, -0, 1, -1, 1.5, NaN, Infinity, -Infinity, 65_535, 65_536, 4_194_305];
numbers.push(2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, 5e-324);

const strings = [
  '',
  ' ',
  '\0',
  'a\0b',
  '..',
  '/',
  '\\',
  '\n',
  '\ud800',
  '😀',
  '__proto__',
  'constructor',
];
strings.push(
  'toString',
  'x'.repeat(513),
  'x'.repeat(100_000),
  '1',
  'null',
  '{}',
  'a'.repeat(200),
  '%2e%2e',
  '⁄',
);

/** @type {((random: Random) => unknown)[]} */
const makers = [
  (random) => random.one(numbers),
  (random) => random.one(numbers),
  (random) => random.one(strings),
  (random) => random.one(strings),
  (random) => random.one([undefined, null, true, false]),
  (random) => random.one([0n, 1n, -1n, 10n ** 400n]),
  (random) => random.one([Symbol('x'), Symbol.iterator, Symbol.for('y'), Symbol()]),
  cyclicArray,
  cyclicObject,
  deepArray,
  endlessArray,
  () => [],
  () => new Array(2 ** 32 - 1),
  () => [, 'hole'],
  () => revoked([]),
  () => revoked({}),
  () => revoked(() => {}),
  (random) => throwing(random.one([{}, [], () => {}]), random),
  () => new Proxy({}, { ownKeys: () => Array.from({ length: 5_000 }, (_, index) => `k${index}`) }),
  () => ({ get toString() { return thrower(); } }), // prettier-ignore
  () => ({ toString: null, valueOf: null }),
  () => ({ [Symbol.toPrimitive]: thrower }),
  () => ({ then: thrower }),
  () => Object.defineProperty({}, 'then', { get: thrower }),
  () => ({ then() {} }),
  () => ({ then: (/** @type {Function} */ resolve) => (resolve(1), resolve(2)) }),
  () => Promise.resolve(1),
  () => Object.defineProperty(Promise.resolve(1), 'constructor', { get: thrower }),
  () => rejected(boom()),
  () => rejected(undefined),
  never,
  () => thrower,
  () => () => {},
  () => async () => thrower(),
  () => () => never(),
  () => class {},
  () => Object.create(null),
  () => Object.freeze({}),
  () => new Date(NaN),
  () => new Map([[{}, 1]]),
  () => new Uint8Array(8),
  () => new String('boxed'), // eslint-disable-line
  () => new Number(1),
  () => new AbortController(),
  () => AbortSignal.abort(boom()),
  () => Object.assign(new Error('x'), { code: 'ERR_RUNTIME_SPAWN', toString: null }),
  () => globalThis,
  () => /x/g,
];

/** @param {Random} random */
export const odd = (random) => random.one(makers)(random);

/**
 * A function that throws, rejects, never settles, or returns an odd value.
 * @param {Random} random
 * @returns {(...args: unknown[]) => unknown}
 */
export function oddFunction(random) {
  return random.one([
    thrower,
    async () => thrower(),
    () => odd(random),
    async () => odd(random),
    () => never(),
    () => {},
    async () => {},
  ]);
}

/** A shallow copy; undefined if the value cannot be read. @param {any} value */
function copied(value) {
  try {
    return Array.isArray(value) ? value.slice(0, 100) : { ...value };
  } catch {
    return undefined;
  }
}

/**
 * A copy of a value with one thing wrong in it: another value, one more, one less, or a proxy
 * around all of it.
 * @param {any} value
 * @param {Random} random
 * @returns {any}
 */
export function spoilt(value, random) {
  if (typeof value !== 'object' || value === null || random.chance(0.15)) return odd(random);
  const copy = copied(value);
  if (copy === undefined) return value;
  const names = Object.keys(copy);
  const name = names.length > 0 ? random.one(names) : 'x';
  switch (random.below(8)) {
    case 0:
      delete copy[name];
      return copy;
    case 1:
      return Object.assign(copy, {
        [random.one(['idleAfterMS', 'x', '', '__proto__', 'exit'])]: odd(random),
      });
    case 2:
      return Object.defineProperty(copy, name, { get: thrower, enumerable: true });
    case 3:
      return random.one([
        throwing(copy, random),
        new Proxy(copy, {}),
        revoked(copy),
        Object.create(copy),
      ]);
    default:
      copy[name] = random.chance(0.5) ? spoilt(copy[name], random) : odd(random);
      return copy;
  }
}
