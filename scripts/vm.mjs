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
import { runMachine } from './lib/vm/machine.mjs';
import { runsOf, runsOfCommand, usualRuns } from './lib/vm/plan.mjs';
import { programsFor } from './lib/vm/programs.mjs';
import { requireEmulator, whatIsMissing } from './lib/vm/requirements.mjs';
import { readReport, sumOf, tableOf } from './lib/vm/results.mjs';
import { setup } from './setup.mjs';

const users = /** @type {const} */ (['root', 'user']);
const names = /** @type {(keyof typeof architectures)[]} */ (Object.keys(architectures));
const USAGE = `usage: npm run test:vm -- [FILE …]

  FILE            test files to run there in the place of the usual ones
  --command TEXT  a shell command to run there in the place of tests
  --kernel LINE   ${LINES.join(' or ')}, may be given again; by default all of them
  --as USER       ${users.join(' or ')}, may be given again; by default both
  --arch NAME     ${names.join(' or ')}; by default x64`;

const { values, words: files } = readArguments({
  usage: USAGE,
  flags: {
    command: { type: 'string' },
    kernel: { type: 'string', multiple: true },
    as: { type: 'string', multiple: true },
    arch: { type: 'string' },
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
  await build();
  await requireEmulator(architecture);
  const runs = runsAsked();
  const packages = debianPackages(architecture);
  const programs = await programsFor(architecture);
  const reports = [];
  for (const line of lines) {
    const kernel = unpackKernel(packages, line, architecture.debian);
    if (!kernel) {
      console.log(`› this Debian has no cloud kernel ${line}`);
      continue;
    }
    const { directory, image } = kernel;
    const archive = join(cache, architecture.name, `first-${line}.cpio`);
    writeArchive(
      archive,
      guestFiles({ architecture, kernel: directory, packages, programs, runs }),
    );
    console.log(`› booting ${basename(image)}`);
    const output = await runMachine({
      architecture,
      kernel: image,
      archive,
      runs,
      onLine: (text) => console.log(text),
    });
    reports.push(readReport(output, runs));
  }
  if (reports.length === 0) throw new ScriptError('there was no kernel to boot');
  console.log(`\n${tableOf(reports)}`);
  const { passed, failed } = sumOf(reports);
  console.log(`\nvm: ${passed} tests passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
});

function runsAsked() {
  if (values.command !== undefined) return runsOfCommand(values.command, as);
  if (files.length > 0) return runsOf(files, as);
  return usualRuns().filter(({ user }) => as.includes(user));
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
