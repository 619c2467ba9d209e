// Gives everything that carries a version that of package.json. `npm version` calls it, and commits what it changed.
import { readArguments } from './lib/arguments.mjs';
import { runScript } from './lib/run.mjs';
import { checkVersions, setVersions } from './lib/versions.mjs';

readArguments({ usage: 'usage: npm version <new version>, which calls this' });

await runScript(async () => {
  setVersions();
  checkVersions();
});
