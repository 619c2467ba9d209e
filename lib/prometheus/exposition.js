/** Metrics as text: Prometheus's own format 0.0.4 and OpenMetrics 1.0. */

/** @typedef {import('./families.js').Family} Family */
/** @typedef {import('./collector.js').Snapshot} Snapshot */
/** @typedef {import('./gateways.js').GatewaySnapshot} GatewaySnapshot */
/** @typedef {{ contentType: string, isOpenMetrics: boolean }} Format */

/** @type {Format} */
const PROMETHEUS = {
  contentType: 'text/plain; version=0.0.4; charset=utf-8',
  isOpenMetrics: false,
};
/** @type {Format} */
const OPEN_METRICS = {
  contentType: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  isOpenMetrics: true,
};

/**
 * OpenMetrics if the header names it with a quality no lower than that of plain text.
 * @param {string | null} [accept] the request's header
 * @returns {Format}
 */
export function formatFor(accept) {
  let [openMetrics, text] = [0, 0];
  for (const range of (accept ?? '').toLowerCase().split(',')) {
    const [type, ...parameters] = range.split(';').map((part) => part.trim());
    const valueOf = (/** @type {string} */ name) =>
      parameters.find((parameter) => parameter.startsWith(`${name}=`))?.slice(name.length + 1);
    const quality = Number(valueOf('q') ?? 1);
    if (type === 'application/openmetrics-text' && (valueOf('version') ?? '1.0.0') === '1.0.0') {
      openMetrics = Math.max(openMetrics, quality);
    } else if (type === 'text/plain') {
      text = Math.max(text, quality);
    }
  }
  return openMetrics > 0 && openMetrics >= text ? OPEN_METRICS : PROMETHEUS;
}

/**
 * What there is to show: families, and a snapshot of each thing that they are read from.
 * @template {{ labels: Record<string, string> }} S
 * @typedef {{ families: readonly import('./families.js').Family<S>[], snapshots: readonly S[] }} Section
 */

/**
 * @param {string} prefix
 * @param {readonly [Section<Snapshot>, Section<GatewaySnapshot>]} sections
 * @param {Format} format
 * @returns {string}
 */
export function exposition(prefix, [ofRuntimes, ofGateways], format) {
  const text = sectionText(prefix, ofRuntimes, format) + sectionText(prefix, ofGateways, format);
  return format.isOpenMetrics ? `${text}# EOF\n` : text;
}

/**
 * @template {{ labels: Record<string, string> }} S
 * @param {string} prefix
 * @param {Section<S>} section
 * @param {Format} format
 */
function sectionText(prefix, { families, snapshots }, { isOpenMetrics }) {
  const common = snapshots.map(({ labels }) => labelText(labels));
  let text = '';
  for (const family of families) {
    const name = prefix + family.name;
    const total = family.type === 'counter' ? '_total' : '';
    let lines = '';
    snapshots.forEach((snapshot, index) => {
      for (const { suffix = total, labels, value } of family.samples(snapshot)) {
        lines += name + suffix + braced(common[index] ?? '', labels) + ` ${numberText(value)}\n`;
      }
    });
    if (lines !== '')
      text += metadata(isOpenMetrics ? name : name + total, family, isOpenMetrics) + lines;
  }
  return text;
}

/** @param {string} name @param {Pick<Family, 'type' | 'help'>} family @param {boolean} isOpenMetrics */
function metadata(name, { type, help }, isOpenMetrics) {
  const unit = isOpenMetrics ? /_(seconds|bytes)$/.exec(name)?.[1] : undefined;
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${unit ? `# UNIT ${name} ${unit}\n` : ''}`;
}

/** @param {string} common @param {Record<string, string>} [own] */
function braced(common, own) {
  const text = own === undefined ? '' : labelText(own);
  if (common === '' && text === '') return '';
  return common === '' || text === '' ? `{${common}${text}}` : `{${common},${text}}`;
}

/** @param {Record<string, string>} labels */
function labelText(labels) {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',');
}

/** @type {Record<string, string>} */
const ESCAPES = { '\\': '\\\\', '\n': '\\n', '"': '\\"' };

/** @param {string} value */
function escaped(value) {
  return /[\\\n"]/.test(value)
    ? value.replace(/[\\\n"]/g, (found) => ESCAPES[found] ?? found)
    : value;
}

/** @param {number} value */
function numberText(value) {
  return Number.isFinite(value) || Number.isNaN(value)
    ? String(value)
    : value > 0
      ? '+Inf'
      : '-Inf';
}
