// Starts tenants, and one more that starts slowly, and then ends in the given way.
// Arguments: root, keys that become ready, a key that does not (or nothing), options as JSON.
import { createRuntime } from '@absolutejs/runtime';
import { say, told } from './words.mjs';

const [root = '', keys = '', slow, options = '{}'] = process.argv.slice(2);
const runtime = createRuntime({
  source: { kind: 'directory', root },
  onLog: ({ key, line }) => key === slow && line === 'booting' && say('booting'),
  ...JSON.parse(options),
});
await Promise.all(keys.split(',').map((key) => runtime.ensure(key)));
if (slow) runtime.ensure(slow).catch(() => {});
say('up');

const how = await told();
switch (how) {
  case 'process.exit':
    process.exit(3);
  case 'uncaught error':
    setTimeout(() => {
      throw new Error('not caught');
    });
    break;
  case 'unhandled rejection':
    void Promise.reject(new Error('not handled'));
    break;
  case 'natural end':
    break;
  default:
    throw new Error(`told to ${how}`);
}
