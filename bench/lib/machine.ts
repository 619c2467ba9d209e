// The machine that the figures were measured on.
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

const BYTES_PER_GB = 2 ** 30;
/** From this load per core on, other processes distort the figures. */
const BUSY = 0.5;

export interface Machine {
  cores: number;
  cpu: string;
  memoryGb: number;
  kernel: string;
  bun: string;
  loadAtStart: number;
  isBusy: boolean;
  startedAt: Date;
}

export function describeMachine(): Machine {
  const cores = availableParallelism();
  const loadAtStart = loadavg()[0] ?? NaN;
  return {
    cores,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGb: Math.round(totalmem() / BYTES_PER_GB),
    kernel: release(),
    bun: Bun.version,
    loadAtStart,
    isBusy: loadAtStart > BUSY * cores,
    startedAt: new Date(),
  };
}

export function machineInWords({
  cores,
  cpu,
  memoryGb,
  kernel,
  bun,
  loadAtStart,
}: Machine): string {
  const hardware = `${cores} cores (${cpu}), ${memoryGb} GB`;
  return `${hardware}, Linux ${kernel}, Bun ${bun}; load at start ${loadAtStart.toFixed(2)}`;
}
