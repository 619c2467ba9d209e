/**
 * The part of a runtime that handles tenants, loaded when the runtime is first used: see
 * `tenant/lazy-inbox.js`. It is a bundle of its own, with copies of the files that it shares with
 * `index.js`; state that both need, and the classes that users compare, are in `core`.
 */
import { createExternal } from './tenant/external.js';
import { createHandDown } from './tenant/environment.js';
import { handle } from './tenant/handler.js';
import { createInbox } from './bridge/inbox.js';
import { hear } from './observe/listen.js';
import { createTracing } from './observe/tracing.js';

/** Completes the core, and returns its inbox. @param {import('./runtime.js').Core} core */
export async function openInbox(core) {
  const { settings, calls } = core;
  // The guards count for this bundle's inbox.
  core.hear = () => hear(core);
  core.hear();
  core.external = createExternal(core);
  if (settings.tracerProvider !== undefined) core.tracing = createTracing(settings.tracerProvider);
  if (settings.checkpoint !== undefined) {
    const { createCheckpoints } = await import('#checkpoints');
    core.checkpoints = createCheckpoints(core);
  }
  calls.keepHostAlive();
  core.handDown = createHandDown(core);
  // For starts that were asked for before this part was loaded.
  core.handDown?.();
  return createInbox(core, handle);
}
