// Does one thing with a runtime, and then has nothing more to do.
// Arguments: root, key, what to do.
import { createRuntime } from '@absolutejs/runtime';
import { say } from './words.mjs';

const [root = '', key = '', what] = process.argv.slice(2);
const runtime = createRuntime({
  source: { kind: 'directory', root },
  idleAfterMs: 600_000,
  onLog() {},
  onMetrics() {},
  observeIntervalMs: 20,
});

switch (what) {
  case 'never used':
    break;
  case 'idle':
    say('ready', await runtime.ensure(key));
    break;
  case 'kept alive':
    setInterval(() => {}, 1e9);
    say('ready', await runtime.ensure(key));
    break;
  case 'disposed':
    say('ready', await runtime.ensure(key));
    await runtime.dispose();
    say('disposed');
    break;
  case 'disposed without use':
    await runtime.dispose();
    say('disposed');
    break;
  case 'pending ensure':
    void runtime.ensure(key).then(() => say('ready'));
    break;
  case 'aborted ensure': {
    // The call keeps the host alive until the signal aborts it; the signal itself does not.
    const signal = AbortSignal.timeout(200);
    runtime.ensure(key, { signal }).catch(({ code }) => say('aborted', code));
    break;
  }
  case 'pending kill':
    await runtime.ensure(key);
    void runtime.kill(key).then(() => say('killed'));
    break;
  case 'pending dispose':
    await runtime.ensure(key);
    void runtime.dispose().then(() => say('disposed'));
    break;
  default:
    throw new Error(`asked to ${what}`);
}
