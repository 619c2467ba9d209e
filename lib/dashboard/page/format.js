// Figures and times as people read them. Nothing known is a dash.

const NONE = '–';
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

/** @typedef {number | null | undefined} Figure */

/** @param {Figure} value @returns {value is number} */
const isKnown = (value) => typeof value === 'number' && Number.isFinite(value);

/** @param {Figure} value */
export const count = (value) => (isKnown(value) ? whole.format(value) : NONE);

/** With a decimal where it matters. @param {Figure} value */
export const rate = (value) =>
  isKnown(value) ? (value < 10 ? tenths : whole).format(value) : NONE;

/** @param {Figure} value */
export const percent = (value) => (isKnown(value) ? `${rate(value)} %` : NONE);

/** @param {Figure} value */
export function bytes(value) {
  if (!isKnown(value)) return NONE;
  let [size, unit] = [value, 0];
  while (size >= 1000 && unit < 4) [size, unit] = [size / 1024, unit + 1];
  return `${rate(size)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`;
}

/** @param {Figure} ms */
export function milliseconds(ms) {
  if (!isKnown(ms)) return NONE;
  if (ms < 1) return `${tenths.format(ms)} ms`;
  return ms < 1000 ? `${whole.format(ms)} ms` : `${tenths.format(ms / 1000)} s`;
}

/** @param {Figure} ms */
export function duration(ms) {
  if (!isKnown(ms)) return NONE;
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 || days > 9 ? `${days} d` : `${days} d ${hours % 24} h`;
}

/** In one unit. @param {Figure} ms */
export const roughly = (ms) => duration(ms).replace(/^(\d+ (?:h|d)) .*/, '$1');

let clockOffsetMs = 0;

/** The host's clock counts, and not that of the machine with the browser. @param {Figure} at */
export function setHostTime(at) {
  if (isKnown(at)) clockOffsetMs = at - Date.now();
}

export const hostNow = () => Date.now() + clockOffsetMs;

/** @param {Figure} at */
export const ago = (at) => (isKnown(at) ? `${duration(hostNow() - at)} ago` : 'never');

/** @param {Figure} at */
export const inTime = (at) => (isKnown(at) ? `in ${duration(at - hostNow())}` : NONE);

const clock = new Intl.DateTimeFormat('en', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const day = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short' });

/** @param {number} at */
export const timeOf = (at) => clock.format(at);

/** With the day, if it is another one. @param {number} at */
export const momentOf = (at) =>
  day.format(at) === day.format(hostNow()) ? timeOf(at) : `${day.format(at)}, ${timeOf(at)}`;
