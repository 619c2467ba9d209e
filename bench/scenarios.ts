// Every scenario, in the order of the table.
import type { Scenario } from './lib/scenario.ts';
import { coldEnsure, coldEnsureLargeHost } from './scenarios/cold.ts';
import { coldConfined } from './scenarios/confined.ts';
import { evict } from './scenarios/evict.ts';
import { ensureAdapter } from './scenarios/ensure-adapter.ts';
import { ensureRunning, stats, touch } from './scenarios/hot.ts';
import { idle10000 } from './scenarios/idle.ts';
import { importPackage } from './scenarios/import.ts';
import { logLines, longLine } from './scenarios/logs.ts';
import { observe10000, observe300, observe300Adapter } from './scenarios/observe.ts';
import { dispose60, storm60 } from './scenarios/storm.ts';
import { gateway } from './gateway/scenarios.ts';
import { waking } from './gateway/waking.ts';

export const scenarios: readonly Scenario[] = [
  coldEnsure,
  coldEnsureLargeHost,
  coldConfined,
  storm60,
  touch,
  ensureRunning,
  stats,
  logLines,
  longLine,
  observe300,
  observe300Adapter,
  observe10000,
  ensureAdapter,
  evict,
  idle10000,
  dispose60,
  importPackage,
  ...gateway,
  ...waking,
];
