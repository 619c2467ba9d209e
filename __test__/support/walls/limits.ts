/** Whether this host can limit its tenants, as which tests of limits are skipped or not. */
import { createRuntime, isRuntimeError, type RuntimeOptions } from '@absolutejs/runtime';
import { tmpdir } from 'node:os';

type Limits = Exclude<RuntimeOptions['limits'], undefined | ((key: string) => unknown)>;

async function canKeep(limits: Limits): Promise<boolean> {
  try {
    await createRuntime({ source: { kind: 'directory', root: tmpdir() }, limits }).dispose();
    return true;
  } catch (error) {
    if (isRuntimeError(error) && error.code === 'ERR_RUNTIME_UNSUPPORTED') return false;
    throw error;
  }
}

/** Memory, processes and CPU time of a whole tree, which takes control groups. */
export const canLimitTrees = await canKeep({ memoryBytes: 1 << 30, processes: 1_000, cpus: 1 });
