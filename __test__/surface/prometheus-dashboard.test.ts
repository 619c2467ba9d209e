import { expect, test } from 'bun:test';
import dashboard from '../../dashboards/absolutejs-runtime.json' with { type: 'json' };
import { exportedNames, metricsOf } from '../support/surface/promql.ts';

const panels = dashboard.panels.filter(({ type }) => type !== 'row');
const variables = dashboard.templating.list;
const queries = panels.flatMap(({ title, targets = [] }) =>
  targets.map((target) => ({ title, ...target })),
);

/** What Grafana would ask, with its variables filled in. */
const filledIn = (expr: string) =>
  expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$(job|instance)\b/g, '.*');

test('every query is PromQL and reads metrics that the collector exports', () => {
  const exported = exportedNames();
  expect(queries.length).toBeGreaterThan(panels.length);
  for (const { title, expr } of queries) {
    const names = metricsOf(filledIn(expr));
    expect(names).not.toEqual([]);
    expect({ title, unknown: names.filter((name) => !exported.includes(name)) }).toEqual({
      title,
      unknown: [],
    });
  }
  for (const { definition } of variables) {
    const name =
      definition === undefined ? undefined : /^label_values\((\w+)/.exec(definition)?.[1];
    if (definition !== undefined) expect(exported).toContain(name!);
  }
});

test('every metric is shown somewhere', () => {
  const shown = queries.flatMap(({ expr }) => metricsOf(filledIn(expr)));
  expect(exportedNames().filter((name) => !shown.includes(name))).toEqual([]);
});

test('units are those of the metrics', () => {
  for (const { title, fieldConfig, options, targets = [] } of panels) {
    const unit = options?.yAxis?.unit ?? fieldConfig?.defaults.unit;
    const text = targets.map(({ expr }) => expr).join(' ');
    const wanted = text.includes('_bytes')
      ? 'bytes'
      : /_duration_seconds|uptime_seconds/.test(text)
        ? 's'
        : null;
    if (wanted !== null) expect({ title, unit }).toEqual({ title, unit: wanted });
    else expect(['short', 'ops', 'percentunit']).toContain(unit!);
  }
});

test('it loads into any Grafana: the data source is a variable, and ids and places are its own', () => {
  expect(dashboard.id).toBeNull();
  expect(dashboard.uid).toBe('absolutejs-runtime');
  expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(39);
  expect(variables[0]).toMatchObject({
    name: 'datasource',
    type: 'datasource',
    query: 'prometheus',
  });
  const sources = [...panels, ...queries, ...variables.slice(1)].map(
    ({ datasource }) => datasource,
  );
  expect(new Set(sources.map((source) => JSON.stringify(source)))).toEqual(
    new Set([JSON.stringify({ type: 'prometheus', uid: '${datasource}' })]),
  );
  const known = [...variables.map(({ name }) => name), '__rate_interval'];
  const used = [...JSON.stringify(dashboard).matchAll(/\$\{?(\w+)/g)].map(([, name]) => name!);
  expect(used.filter((name) => !known.includes(name) && name !== '__all')).toEqual([]);
  const ids = dashboard.panels.map(({ id }) => id);
  expect(ids).toEqual([...new Set(ids)]);
});

test('no panel lies upon another or beyond the edge', () => {
  const taken = new Set<string>();
  for (const { gridPos } of dashboard.panels) {
    expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        expect(taken.has(`${x} ${y}`)).toBeFalse();
        taken.add(`${x} ${y}`);
      }
    }
  }
});
