// For `require`: the package itself is an ES module, which Node takes from 20.19 and 22.12 on, and Bun always.
module.exports = require('./index.js');
