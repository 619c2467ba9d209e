/** From a runtime, which is all that users have, to what gateways and controls need of it. */
import { shown } from '../checks.js';
import { disposed, invalidOption, unsupported } from '../errors.js';

/**
 * The runtime's core. `createRuntime` leaves it on `list`, and not on the object, so that a copy
 * of the object with members added is a runtime, too. The symbol is a registered one, since the
 * runtime is of another bundle.
 * @param {string} path
 * @param {any} runtime
 * @param {'gateway' | 'control' | 'fleet'} whose
 * @returns {import('../runtime.js').Core}
 */
export function coreOf(path, runtime, whose) {
  const list = runtime?.list;
  const open =
    typeof list === 'function' ? list[Symbol.for('@absolutejs/runtime.core')] : undefined;
  if (typeof open !== 'function') {
    throw invalidOption(`${path} must be what createRuntime returned, got ${shown(runtime)}`);
  }
  const { core, isDisposed } = open();
  const needed = { gateway: 'openGateway', control: 'hearLogs', fleet: 'openFleet' }[whose];
  if (typeof core?.native?.[needed] !== 'function') {
    throw unsupported(
      `the runtime is of another version of @absolutejs/runtime than the ${whose}: install one of both`,
    );
  }
  if (isDisposed) throw disposed('');
  return core;
}
