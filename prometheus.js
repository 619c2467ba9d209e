export { createRuntimeCollector } from './lib/prometheus/collector.js';
