// The durations as horizontal bars on a logarithmic scale, in SVG.
import { figure, nanoseconds, shown, verdict } from './figures.ts';
import type { Measured } from './report.ts';
import type { Metric } from './scenario.ts';

const WIDTH = 920;
const LEFT = 290;
const RIGHT = 90;
const TOP = 64;
const BAR = 12;
const BAR_GAP = 2;
const GROUP_GAP = 13;
const COLORS = { floor: '#9aa5b1', plain: '#e2953b', ours: '#2f6fde' } as const;
const COLUMNS = ['floor', 'plain', 'ours'] as const;
const NAMES = { floor: 'floor', plain: 'plain pool', ours: 'this package' } as const;
const TICKS = [
  { ns: 1e1, text: '10 ns' },
  { ns: 1e2, text: '100 ns' },
  { ns: 1e3, text: '1 µs' },
  { ns: 1e4, text: '10 µs' },
  { ns: 1e5, text: '100 µs' },
  { ns: 1e6, text: '1 ms' },
  { ns: 1e7, text: '10 ms' },
  { ns: 1e8, text: '100 ms' },
  { ns: 1e9, text: '1 s' },
  { ns: 1e10, text: '10 s' },
  { ns: 1e11, text: '100 s' },
];
const [FIRST_NS, LAST_NS] = [10, 1e11];

interface Group {
  title: string;
  label: string;
  bars: { color: string; ns: number; text: string }[];
  goalNs: number | undefined;
}

export function chart(measured: readonly Measured[]): string {
  const groups = measured.flatMap(groupsOf).filter(({ bars }) => bars.length > 0);
  let y = TOP;
  const drawn = groups.map((group) => {
    const at = y;
    y += heightOf(group) + GROUP_GAP;
    return draw(group, at);
  });
  const height = y + 8;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12">
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
${legend()}
${TICKS.map((tick) => gridLine(tick, height)).join('\n')}
${drawn.join('\n')}
</svg>
`;
}

function groupsOf({ scenario, rounds }: Measured): Group[] {
  const group = (metric: Metric): Group => ({
    title: plainText(scenario.title),
    label: plainText(metric.label),
    bars: COLUMNS.flatMap((column) => {
      const value = figure(rounds, column, metric.id);
      const ns = nanoseconds(value, metric.unit);
      return value && ns ? [{ color: COLORS[column], ns, text: shown(value, metric.unit) }] : [];
    }),
    goalNs: metric.goal && nanoseconds(verdict(rounds, metric, metric.goal).limit, metric.unit),
  });
  return scenario.metrics.filter(({ isCharted }) => isCharted).map(group);
}

const plainText = (text: string) =>
  text.replaceAll('`', '').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const heightOf = ({ bars }: Group) => bars.length * (BAR + BAR_GAP) - BAR_GAP;

function x(ns: number): number {
  const share = Math.log(ns / FIRST_NS) / Math.log(LAST_NS / FIRST_NS);
  return Math.round((LEFT + Math.max(0, Math.min(1, share)) * (WIDTH - LEFT - RIGHT)) * 10) / 10;
}

function draw(group: Group, top: number): string {
  const middle = top + heightOf(group) / 2;
  const title = `<text x="${LEFT - 10}" y="${middle - 2}" text-anchor="end" fill="#1f2933">${group.title}</text>`;
  const label = `<text x="${LEFT - 10}" y="${middle + 11}" text-anchor="end" font-size="10" fill="#52606d">${group.label}</text>`;
  const bars = group.bars.map(({ color, ns, text }, index) => {
    const y = top + index * (BAR + BAR_GAP);
    const bar = `<rect x="${LEFT}" y="${y}" width="${Math.max(1, x(ns) - LEFT)}" height="${BAR}" fill="${color}"/>`;
    const amount = `<text x="${x(ns) + 5}" y="${y + BAR - 2}" font-size="10" fill="#1f2933">${text}</text>`;
    return `${bar}\n${amount}`;
  });
  const goal =
    group.goalNs && `<path d="${goalPath(group, top)}" stroke="#c02942" stroke-width="2"/>`;
  return [title, label, goal ?? '', ...bars].join('\n');
}

const goalPath = (group: Group, top: number) =>
  `M${x(group.goalNs ?? 0)} ${top - 3}v${heightOf(group) + 6}`;

function gridLine({ ns, text }: { ns: number; text: string }, height: number): string {
  const line = `<path d="M${x(ns)} ${TOP - 10}V${height - 8}" stroke="#e4e7eb"/>`;
  return `${line}<text x="${x(ns)}" y="${TOP - 15}" font-size="10" text-anchor="middle" fill="#52606d">${text}</text>`;
}

function legend(): string {
  const entries = COLUMNS.map((column, index) => {
    const at = LEFT + index * 110;
    return `<rect x="${at}" y="10" width="12" height="12" fill="${COLORS[column]}"/><text x="${at + 18}" y="20" fill="#1f2933">${NAMES[column]}</text>`;
  });
  const at = LEFT + COLUMNS.length * 110;
  const goal = `<path d="M${at + 6} 9v14" stroke="#c02942" stroke-width="2"/><text x="${at + 18}" y="20" fill="#1f2933">goal</text>`;
  return [...entries, goal].join('\n');
}
