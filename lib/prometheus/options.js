/** RuntimeCollectorOptions and labels: read once, checked, completed with the defaults. */
import { invalidOption } from '../errors.js';
import { copyOf, fieldsOf, isRecord, readAt, shown } from '../checks.js';

/** Label names that the collector uses itself. */
const RESERVED_LABELS = ['key', 'le', 'reason', 'state'];

/** @type {(keyof import('../../prometheus.js').RuntimeCollectorOptions)[]} */
const OPTIONS = ['prefix', 'labels', 'perTenant', 'registers'];

/** @param {import('../../prometheus.js').RuntimeCollectorOptions} given */
export function readOptions(given) {
  const {
    prefix = 'absolute_runtime_',
    labels = {},
    registers = [],
    perTenant,
  } = fieldsOf('', given, OPTIONS);
  if (typeof prefix !== 'string' || !/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(prefix)) {
    throw invalidOption(`prefix must be the beginning of a metric name, got ${shown(prefix)}`);
  }
  return {
    prefix,
    labels: readAt('labels', labels, labelsOf),
    registers: readAt('registers', registers, registersAt),
    perTenantMax: perTenantMaxOf(perTenant),
  };
}

/** Far more registries than a program has: a longer array is a mistake. */
const MAX_REGISTERS = 1_000;

/** @param {string} path @param {unknown} registers */
function registersAt(path, registers) {
  const all = copyOf(registers, MAX_REGISTERS);
  if (all?.every(isRegistry))
    return /** @type {import('../../prometheus.js').PromClientRegistry[]} */ (all);
  throw invalidOption(
    `${path} must be an array of prom-client registries, got ${shown(registers)}`,
  );
}

/** @param {unknown} perTenant @returns {number} 0: no series per tenant */
function perTenantMaxOf(perTenant) {
  if (perTenant === undefined) return 0;
  const { max } = fieldsOf('perTenant', /** @type {{ max: number }} */ (perTenant), ['max']);
  if (!Number.isInteger(max) || max < 1) {
    throw invalidOption(`perTenant.max must be a whole number of at least 1, got ${shown(max)}`);
  }
  return max;
}

/**
 * @param {string} path
 * @param {unknown} labels
 * @returns {Record<string, string>}
 */
export function labelsOf(path, labels) {
  if (!isRecord(labels)) {
    throw invalidOption(`${path} must be a record of strings, got ${shown(labels)}`);
  }
  const copy = /** @type {Record<string, string>} */ ({ ...labels });
  for (const [name, value] of Object.entries(copy)) {
    if (!/^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) {
      throw invalidOption(`${path} has ${shown(name)}, which is no label name of Prometheus`);
    }
    if (RESERVED_LABELS.includes(name)) {
      throw invalidOption(
        `${path}.${name} is given out by the collector itself; choose another name`,
      );
    }
    if (typeof value !== 'string') {
      throw invalidOption(`${path}.${name} must be a string, got ${shown(value)}`);
    }
  }
  return copy;
}

/** @param {unknown} value */
const isRegistry = (value) => typeof Object(value).registerMetric === 'function';
