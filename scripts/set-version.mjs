// Gives everything that carries a version that of package.json. `npm version` calls it, and commits what it changed.
import { runScript } from './lib/run.mjs';
import { checkVersions, setVersions } from './lib/versions.mjs';

await runScript(async () => {
  setVersions();
  checkVersions();
});
