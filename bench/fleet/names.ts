// What the fleet's benchmarks are called: all of them, and each alone.
export const FLEET_NAMES = [
  'fleet',
  'fleet-killed',
  'fleet-drained',
  'fleet-store-gone',
  'fleet-passed-on',
  'fleet-idle',
];
