/**
 * What a runtime needs to have tenants, loaded when it is used: see `late.js`. A bundle of its own, with copies of what
 * it shares with `index.js`; what both need to know, and the classes that users compare, are in `core`.
 */
import { guarded } from './bridge/callbacks.js';
import { createExternal } from './tenant/external.js';
import { createHandDown } from './tenant/environment.js';
import { handle } from './tenant/handler.js';
import { createInbox } from './bridge/inbox.js';
import { createTracing } from './observe/tracing.js';

/** Completes the core. @param {import('./runtime.js').Core} core */
export async function openInbox(core) {
  const { settings, calls } = core;
  core.onLog = guarded(settings.onLog);
  core.onMetrics = guarded(settings.onMetrics);
  core.onTransition = guarded(settings.onTransition);
  core.external = createExternal(core);
  if (settings.tracerProvider !== undefined) core.tracing = createTracing(settings.tracerProvider);
  if (settings.checkpoint !== undefined) {
    const { createCheckpoints } = await import('#checkpoints');
    core.checkpoints = createCheckpoints(core);
  }
  calls.keepHostAlive();
  core.handDown = createHandDown(core);
  // For starts that wait already.
  core.handDown?.();
  return createInbox(core, handle);
}
