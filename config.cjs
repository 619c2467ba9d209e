// For `require`: see index.cjs.
exports.defineConfig = (config) => config;
