// For `require`: see index.cjs.
module.exports = require('./dist/control.js');
