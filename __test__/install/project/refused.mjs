import { createRuntime } from '@absolutejs/runtime';

Object.defineProperty(process, 'platform', { value: process.argv[2] });
try {
  createRuntime({ source: { kind: 'directory', root: './tenants' } });
  console.log('{ "message": "it was not refused" }');
} catch (error) {
  const { code, message, cause } = /** @type {any} */ (error);
  console.log(JSON.stringify({ code, message, cause: String(cause) }));
}
