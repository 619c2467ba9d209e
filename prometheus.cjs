// For `require`: see index.cjs.
module.exports = require('./prometheus.js');
