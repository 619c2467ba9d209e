// For `require`: the package itself is an ES module, which Node takes from 20.19 and 22.12 on, and
// Bun always.
if (Number.parseInt(process.versions.node) < 20) {
  // It could not be loaded to say so itself: see `lib/index.js`.
  const message = `@absolutejs/runtime needs Node 20 or newer, or Bun; this is Node ${process.versions.node}`;
  throw Object.assign(new Error(message), { code: 'ERR_RUNTIME_UNSUPPORTED' });
}
module.exports = require('./dist/index.js');
