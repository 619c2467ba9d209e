// `npm run test:vm`: boots Debian's kernels in an emulator, with Bun, Node and what was built, and
// runs tests there: what this machine's kernel cannot show.
import { basename, join } from 'node:path';
import { unknown } from '../lib/doctor/arguments.js';
import { build } from './build.mjs';
import { readArguments, wrongUse } from './lib/arguments.mjs';
import { runScript, ScriptError } from './lib/run.mjs';
import { architectures } from './lib/vm/architectures.mjs';
import { writeArchive } from './lib/vm/archive.mjs';
import { cache, debianPackages } from './lib/vm/debian.mjs';
import { guestFiles } from './lib/vm/guest-files.mjs';
import { LINES, unpackKernel } from './lib/vm/kernels.mjs';
import { machinesAtOnce, runMachine, severalAtOnce } from './lib/vm/machine.mjs';
import { outputs } from './lib/vm/outputs.mjs';
import { allRuns, runsOf, runsOfCommand, users, usualRuns } from './lib/vm/plan.mjs';
import { programsFor } from './lib/vm/programs.mjs';
import { requireEmulator, whatIsMissing } from './lib/vm/requirements.mjs';
import { readReport, sumOf, tableOf } from './lib/vm/results.mjs';
import { setup } from './setup.mjs';

const names = /** @type {(keyof typeof architectures)[]} */ (Object.keys(architectures));
const USAGE = `usage: npm run test:vm -- [FILE …]

  FILE            test files to run there in the place of the usual ones
  --all           every test of \`npm test\`'s on every kernel, as every user
  --command TEXT  a shell command to run there in the place of tests
  --kernel LINE   ${LINES.join(' or ')}, may be given again; by default all of them
  --as USER       ${users.join(' or ')}, may be given again; by default both
  --arch NAME     ${names.join(' or ')}; by default x64
  --as-built      what was built last is run as it is (on x64)`;

const { values, words: files } = readArguments({
  usage: USAGE,
  flags: {
    all: { type: 'boolean' },
    command: { type: 'string' },
    kernel: { type: 'string', multiple: true },
    as: { type: 'string', multiple: true },
    arch: { type: 'string' },
    'as-built': { type: 'boolean' },
  },
  maxWords: Infinity,
});
const architecture = architectures[oneOf('--arch', values.arch ?? 'x64', names)];
const lines = (values.kernel ?? LINES).map((line) => oneOf('--kernel', line, LINES));
const as = (values.as ?? users).map((user) => oneOf('--as', user, users));

await runScript(async () => {
  const missing = whatIsMissing(architecture);
  if (missing) throw new ScriptError(`no machine can run here: ${missing}`);
  await setup();
  if (!values['as-built']) await build();
  await requireEmulator(architecture);
  const packages = debianPackages(architecture);
  const programs = await programsFor(architecture);
  const kernels = lines.flatMap((line) => {
    const kernel = unpackKernel(packages, line, architecture.debian);
    if (!kernel) console.log(`› this Debian has no cloud kernel ${line}`);
    return kernel ? [{ ...kernel, line }] : [];
  });
  if (kernels.length === 0) throw new ScriptError('there is no kernel to boot');

  /** @param {typeof kernels[number]} kernel @param {import('./lib/vm/outputs.mjs').Output} output */
  const reportOn = async ({ line, directory, image }, { say, end }) => {
    const runs = runsAsked(line).filter(({ user }) => as.includes(user));
    const archive = join(cache, architecture.name, `first-${line}.cpio`);
    writeArchive(
      archive,
      guestFiles({ architecture, kernel: directory, packages, programs, runs }),
    );
    say(`\n› booting ${basename(image)}`);
    const said = await runMachine({ architecture, kernel: image, archive, runs, onLine: say });
    end();
    return readReport(said, runs);
  };
  const print = outputs(kernels.length, (line) => console.log(line));
  const reports = await severalAtOnce(machinesAtOnce(), kernels, (kernel, index) =>
    reportOn(kernel, /** @type {import('./lib/vm/outputs.mjs').Output} */ (print[index])),
  );
  console.log(`\n${tableOf(reports)}`);
  const { passed, failed } = sumOf(reports);
  console.log(`\nvm: ${passed} tests passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
});

/** @param {string} line */
function runsAsked(line) {
  if (values.command !== undefined) return runsOfCommand(values.command);
  if (files.length > 0) return runsOf(files);
  return values.all ? allRuns() : usualRuns(line);
}

/**
 * @template {string} T
 * @param {string} flag
 * @param {string} value
 * @param {readonly T[]} known
 * @returns {T}
 */
function oneOf(flag, value, known) {
  const found = known.find((word) => word === value);
  return found ?? wrongUse(unknown(`value of ${flag}`, value, known), USAGE);
}
