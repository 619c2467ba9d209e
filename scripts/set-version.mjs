// Copies the version of package.json into all other files that have it. Called by `npm version`,
// which commits the changes.
import { readArguments } from './lib/arguments.mjs';
import { runScript } from './lib/run.mjs';
import { checkVersions, setVersions } from './lib/versions.mjs';

readArguments({ usage: 'usage: npm version <new version>, which calls this' });

await runScript(async () => {
  setVersions();
  checkVersions();
});
