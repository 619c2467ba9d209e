/** Figures in people's words, short enough for a table. */

const UNITS = ['B', 'K', 'M', 'G', 'T'];

/** @param {number | null | undefined} size */
export function bytesInWords(size) {
  if (size === null || size === undefined) return '';
  let [amount, unit] = [size, 0];
  while (amount >= 1000 && unit < UNITS.length - 1) [amount, unit] = [amount / 1024, unit + 1];
  return `${unit > 1 && amount < 10 ? amount.toFixed(1) : Math.round(amount)}${UNITS[unit]}`;
}

/** `45s`, `12m`, `3h05m`, `2d4h`. @param {number | null | undefined} ms */
export function durationInWords(ms) {
  if (ms === null || ms === undefined) return '';
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h${String(minutes % 60).padStart(2, '0')}m`;
  return `${Math.floor(hours / 24)}d${hours % 24}h`;
}

/** @param {number | null | undefined} ms */
export function latencyInWords(ms) {
  if (ms === null || ms === undefined) return '';
  if (ms >= 10_000) return `${Math.round(ms / 1000)}s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)}s`;
  return ms < 10 ? `${ms.toFixed(1)}ms` : `${Math.round(ms)}ms`;
}

/** @param {number | null | undefined} rate a second */
export function rateInWords(rate) {
  if (rate === null || rate === undefined) return '';
  return rate === 0 || rate >= 100 ? String(Math.round(rate)) : rate.toFixed(1);
}

/** @param {number | null | undefined} percent */
export const percentInWords = (percent) =>
  percent === null || percent === undefined ? '' : `${Math.round(percent)}%`;

/** `5 tenants`. @param {number} count @param {string} noun @param {string} [plural] */
export const several = (count, noun, plural = `${noun}s`) =>
  `${count} ${count === 1 ? noun : plural}`;

/** The time of day; with the date if it was another day. @param {number} at @param {number} [now] */
export function timeInWords(at, now = Date.now()) {
  const [date, shown] = [new Date(at), new Date(now)];
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  const isToday = date.toDateString() === shown.toDateString();
  if (isToday) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

const BARS = '▁▂▃▄▅▆▇█';

/** @param {readonly (number | null)[]} values */
export function sparkline(values) {
  const most = Math.max(0, ...values.map((value) => value ?? 0));
  return values
    .map((value) => {
      if (value === null) return ' ';
      return BARS[most === 0 ? 0 : Math.min(7, Math.ceil((value / most) * 7))];
    })
    .join('');
}
