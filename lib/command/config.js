/** What `@absolutejs/runtime/config` exports: config.d.ts describes it. */

/**
 * @template T
 * @param {T} config
 */
export const defineConfig = (config) => config;
