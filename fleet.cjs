// For `require`: see index.cjs.
module.exports = require('./dist/fleet.js');
