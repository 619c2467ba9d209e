// The kinds of tenants. To add a kind, add an entry; `does` has words that soak/tenant/main.rs
// knows.

/**
 * @typedef {object} Kind
 * @property {string} name
 * @property {number} keys how many tenants of this kind there are
 * @property {readonly string[]} homes the runtimes (runtimes.mjs) that may start it
 * @property {number} weight how often it is chosen
 * @property {string} [does] what the compiled tenant does
 * @property {Record<string, string>} [files] the files of a tenant in Bun; `start` is its start
 * script
 * @property {[number, number]} [says] how many lines it writes to stdout and stderr before it
 * listens
 * @property {boolean} [absent] it has no directory
 * @property {readonly string[]} [fails] the codes that its starts fail with by themselves
 * @property {import('@absolutejs/runtime').TenantLimits} [limits]
 * @property {boolean | 'own user'} [walls] whether it runs within walls, and as a user of its own
 * where the host is root
 * @property {readonly string[]} [operations] those that are done to it alone; it gets no others
 * that end it from within or outside
 */

const BUN_LINES = `
let written = 0;
const say = () => console.log(\`\${written++} \${process.env.SOAK_KEY} .\`);
for (let line = 0; line < 3; line++) say();
`;
const BUN_SERVER = `
Bun.serve({
  port: Number(process.env.PORT),
  hostname: '127.0.0.1',
  fetch(request) {
    const { pathname, search } = new URL(request.url);
    if (pathname === '/exit') process.exit(Number(search.slice(1)));
    if (pathname === '/abort') process.abort();
    return new Response(\`\${process.env.SOAK_KEY} \${process.pid}\`);
  },
});
`;
/** Prints how often it has had SIGTERM. */
const BUN_COUNTS_TERMS = `
let terms = 0;
process.on('SIGTERM', () => {
  if (terms++ > 0) return;
  setTimeout(() => (console.log(\`terms \${terms}\`), process.exit(0)), 50);
});
`;
const FAILS_TO_START = [
  'ERR_RUNTIME_EXITED_EARLY',
  'ERR_RUNTIME_BACKOFF',
  'ERR_RUNTIME_MAX_FAILURES',
];

/** A machine that cannot keep them all runs the soak, too. */
const BEST_EFFORT = /** @type {const} */ ({ enforce: 'best-effort' });
const SMALL = { memoryBytes: 64 << 20, processes: 60, cpus: 1, openFiles: 256, ...BEST_EFFORT };

/** @type {readonly Kind[]} */
export const kinds = [
  { name: 'hello', keys: 16, homes: ['steady', 'crowded', 'idle'], weight: 40, does: '' },
  {
    name: 'talker',
    keys: 12,
    homes: ['steady', 'crowded', 'idle'],
    weight: 15,
    does: 'lines=3',
    says: [3, 3],
  },
  { name: 'slow', keys: 4, homes: ['steady', 'idle'], weight: 3, does: 'slow=30' },
  { name: 'burner', keys: 3, homes: ['steady'], weight: 2, does: 'burn=10' },
  { name: 'family', keys: 4, homes: ['steady', 'crowded'], weight: 3, does: 'children=3' },
  { name: 'daemons', keys: 4, homes: ['steady', 'idle'], weight: 3, does: 'children=1,daemons=2' },
  { name: 'crowd', keys: 1, homes: ['steady'], weight: 0.3, does: 'children=150,daemons=30' },
  { name: 'deaf', keys: 3, homes: ['steady'], weight: 2, does: 'deaf' },
  {
    name: 'graceful',
    keys: 4,
    homes: ['steady', 'crowded'],
    weight: 3,
    does: 'graceful,lines=1',
    says: [1, 1],
  },
  {
    name: 'stillborn',
    keys: 3,
    homes: ['steady', 'asked'],
    weight: 3,
    does: 'lines=1,dies=3',
    fails: FAILS_TO_START,
  },
  {
    name: 'mute',
    keys: 2,
    homes: ['asked'],
    weight: 1,
    does: 'never',
    fails: ['ERR_RUNTIME_READINESS_TIMEOUT', 'ERR_RUNTIME_BACKOFF', 'ERR_RUNTIME_MAX_FAILURES'],
  },
  {
    name: 'absent',
    keys: 2,
    homes: ['steady', 'bun'],
    weight: 1,
    absent: true,
    fails: ['ERR_RUNTIME_SPAWN', 'ERR_RUNTIME_BACKOFF', 'ERR_RUNTIME_MAX_FAILURES'],
  },
  { name: 'asked', keys: 4, homes: ['asked'], weight: 4, does: 'lines=1', says: [1, 1] },
  { name: 'own', keys: 4, homes: ['own'], weight: 2, does: '' },
  { name: 'adopted', keys: 4, homes: ['adopting'], weight: 2, does: '' },
  { name: 'limited', keys: 3, homes: ['confined'], weight: 3, does: '', limits: SMALL },
  { name: 'walled', keys: 3, homes: ['confined'], weight: 3, does: '', walls: true },
  {
    name: 'kept',
    keys: 3,
    homes: ['confined'],
    weight: 3,
    does: 'children=2,daemons=2',
    limits: SMALL,
    walls: true,
  },
  {
    name: 'apart',
    keys: 4,
    homes: ['confined'],
    weight: 4,
    does: 'lines=3',
    says: [3, 3],
    limits: SMALL,
    walls: 'own user',
  },
  {
    name: 'glutton',
    keys: 2,
    homes: ['confined'],
    weight: 1.5,
    does: 'children=1,daemons=1',
    limits: { memoryBytes: 24 << 20, swapBytes: 1, ...BEST_EFFORT },
    walls: 'own user',
    operations: ['eat'],
  },
  {
    name: 'forker',
    keys: 2,
    homes: ['confined'],
    weight: 1,
    does: '',
    limits: { processes: 40, ...BEST_EFFORT },
    walls: 'own user',
    operations: ['fork'],
  },
  {
    name: 'filler',
    keys: 2,
    homes: ['confined'],
    weight: 1,
    does: '',
    walls: 'own user',
    operations: ['fill'],
  },
  {
    name: 'bun-kept',
    keys: 2,
    homes: ['confined'],
    weight: 0.3,
    files: { 'server.ts': BUN_LINES + BUN_SERVER },
    says: [3, 0],
    limits: { memoryBytes: 512 << 20, processes: 100, ...BEST_EFFORT },
    walls: true,
  },
  { name: 'bun', keys: 3, homes: ['bun'], weight: 0.5, files: { 'server.ts': BUN_SERVER } },
  {
    name: 'bun-talker',
    keys: 2,
    homes: ['bun'],
    weight: 0.3,
    files: { 'server.ts': BUN_LINES + BUN_SERVER, start: 'bun server.ts' },
    says: [3, 0],
  },
  {
    name: 'bun-family',
    keys: 2,
    homes: ['bun'],
    weight: 0.3,
    files: {
      'server.ts': BUN_SERVER,
      start: "sh -c 'sleep 1000 & setsid sleep 1000 & exec bun server.ts'",
    },
  },
  {
    name: 'bun-asked',
    keys: 2,
    homes: ['bun'],
    weight: 0.3,
    files: { 'server.ts': BUN_COUNTS_TERMS + BUN_SERVER },
  },
  {
    name: 'bun-behind-a-shell',
    keys: 2,
    homes: ['bun'],
    weight: 0.3,
    files: { 'server.ts': BUN_COUNTS_TERMS + BUN_SERVER, start: "sh -c 'bun server.ts & wait'" },
  },
  {
    name: 'bun-broken',
    keys: 1,
    homes: ['bun'],
    weight: 0.2,
    files: { 'server.ts': 'throw new Error("no")' },
    fails: FAILS_TO_START,
  },
];

const byName = new Map(kinds.map((kind) => [kind.name, kind]));

/** @param {string} key */
export function kindOf(key) {
  return /** @type {Kind} */ (byName.get(key.slice(0, key.lastIndexOf('-'))));
}

/** @param {Kind} kind */
export const keysOf = (kind) =>
  Array.from({ length: kind.keys }, (_, index) => `${kind.name}-${index}`);
