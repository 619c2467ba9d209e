export * from './recorder.ts';
export * from './shapes.ts';
export * from './table.ts';
export * from './tenants.ts';
export * from './until.ts';
export * from './pool.ts';
export * from './hosts.ts';
