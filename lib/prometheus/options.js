/** What users give a collector: read once, checked, completed with the defaults. */
import { invalidOption } from '../errors.js';

/** Label names that the collector gives out itself. */
const OURS = ['key', 'le', 'reason', 'state'];

/** @param {import('../../prometheus.js').RuntimeCollectorOptions} options */
export function readOptions(options) {
  if (typeof options !== 'object' || options === null) {
    throw invalidOption(`options must be an object, got ${shown(options)}`);
  }
  const { prefix = 'absolute_runtime_', labels = {}, registers = [] } = options;
  if (typeof prefix !== 'string' || !/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(prefix)) {
    throw invalidOption(`prefix must be the beginning of a metric name, got ${shown(prefix)}`);
  }
  if (!Array.isArray(registers) || !registers.every(isRegistry)) {
    throw invalidOption(`registers must be an array of prom-client registries, got ${shown(registers)}`);
  }
  return {
    prefix,
    labels: labelsOf('labels', labels),
    registers,
    perTenantMax: perTenantMaxOf(options.perTenant),
  };
}

/** @param {unknown} perTenant @returns {number} 0: no series per tenant */
function perTenantMaxOf(perTenant) {
  if (perTenant === undefined) return 0;
  const max = Object(perTenant).max;
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
  if (typeof labels !== 'object' || labels === null || Array.isArray(labels)) {
    throw invalidOption(`${path} must be a record of strings, got ${shown(labels)}`);
  }
  for (const [name, value] of Object.entries(labels)) {
    if (!/^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) {
      throw invalidOption(`${path} has ${shown(name)}, which is no label name of Prometheus`);
    }
    if (OURS.includes(name)) {
      throw invalidOption(`${path}.${name} is given out by the collector itself; choose another name`);
    }
    if (typeof value !== 'string') {
      throw invalidOption(`${path}.${name} must be a string, got ${shown(value)}`);
    }
  }
  return { ...labels };
}

/** @param {unknown} value */
const isRegistry = (value) => typeof Object(value).registerMetric === 'function';

/** A value in a message: short, and never an error of its own. @param {unknown} value */
export function shown(value) {
  try {
    return (JSON.stringify(value) ?? String(value)).slice(0, 80);
  } catch {
    return typeof value;
  }
}
