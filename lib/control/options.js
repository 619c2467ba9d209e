/** ControlOptions: read once, checked, and completed with the defaults. */
import {
  copyOf,
  directoryAt,
  fieldsOf,
  isFunction,
  isRecord,
  optional,
  readAt,
  shown,
  wholeNumber,
} from '../checks.js';
import { invalidOption, textOf } from '../errors.js';
import { coreOf } from '../observe/core.js';
import { gatewaySeamAt } from '../observe/gateway-seam.js';

/** @typedef {import('../../control.js').ControlOptions} ControlOptions */

/** @type {(keyof ControlOptions)[]} */
const OPTIONS = ['runtime', 'gateway', 'path', 'name', 'logs', 'dashboard', 'optionName'];
const LOG_OPTIONS = /** @type {const} */ ([
  'linesPerTenant',
  'bytesPerTenant',
  'directory',
  'maxBytes',
]);

const LINES_PER_TENANT = 1_000;
const BYTES_PER_TENANT = 256 << 10;
const MOST_FILE_BYTES = 1 << 30;
/** All files together must have room for a few lines. */
const LEAST_FILE_BYTES = 64 << 10;
/** More gateways than a host has: a longer array is a mistake. */
const MOST_GATEWAYS = 100;

/** @param {ControlOptions} given */
export function readOptions(given) {
  const options = fieldsOf('', given, OPTIONS);
  const core = readAt('runtime', options.runtime, (path, value) => coreOf(path, value, 'control'));
  const { path, name = 'runtime', dashboard } = options;
  if (typeof name !== 'string' || name === '' || name.length > 200 || /\p{Cc}/u.test(name)) {
    throw invalidOption(`name must be a text without control characters, got ${shown(name)}`);
  }
  return {
    core,
    runtime: options.runtime,
    gateways: gatewaysAt(options.gateway, core),
    path: path === undefined ? undefined : directoryAt('path', path),
    name,
    logs: logsOf(options.logs),
    dashboard: optional('dashboard', dashboard, isRecord, 'an object'),
    optionName: optionNameOf(options.optionName),
  };
}

/**
 * The user's function, which may throw: then the option has its own name.
 * @param {ControlOptions['optionName']} given
 * @returns {import('./terms.js').OptionName}
 */
function optionNameOf(given) {
  const nameOf = optional('optionName', given, isFunction, 'a function');
  return (option, key) => {
    try {
      return textOf(nameOf?.(option, key) ?? option);
    } catch {
      return option;
    }
  };
}

/** @typedef {ReturnType<typeof readOptions>} Settings */

/** @param {unknown} given @param {import('../runtime.js').Core} core */
function gatewaysAt(given, core) {
  if (given === undefined) return [];
  const isList = readAt('gateway', given, () => Array.isArray(given));
  const all = isList ? copyOf(/** @type {unknown[]} */ (given), MOST_GATEWAYS) : [given];
  if (all === undefined)
    throw invalidOption(`gateway must be a gateway or several, got ${shown(given)}`);
  return all.map((one, index) => {
    const path = isList ? `gateway[${index}]` : 'gateway';
    const seam = readAt(path, one, gatewaySeamAt);
    if (seam.core !== core) throw invalidOption(`${path} is in front of another runtime`);
    return { seam, gateway: /** @type {import('../../gateway.js').Gateway} */ (one) };
  });
}

/** @param {ControlOptions['logs']} given */
function logsOf(given = {}) {
  const { linesPerTenant, bytesPerTenant, directory, maxBytes } = fieldsOf(
    'logs',
    given,
    LOG_OPTIONS,
  );
  if (directory === undefined && maxBytes !== undefined) {
    throw invalidOption('logs.maxBytes is for files: give logs.directory, too');
  }
  return {
    linesPerTenant: wholeNumber('logs.linesPerTenant', linesPerTenant, LINES_PER_TENANT, 1),
    bytesPerTenant: wholeNumber('logs.bytesPerTenant', bytesPerTenant, BYTES_PER_TENANT, 1_024),
    directory: directory === undefined ? undefined : directoryAt('logs.directory', directory),
    maxBytes: wholeNumber('logs.maxBytes', maxBytes, MOST_FILE_BYTES, LEAST_FILE_BYTES),
  };
}
