// A tracer provider that records its spans. As in OpenTelemetry's SDK, methods return the span,
// and a span that has ended accepts no changes.
import type { TracerProvider } from '@absolutejs/runtime';

export const OK = 1;
export const ERROR = 2;

const hexadecimal = (bytes: number) =>
  Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('hex');

export class Span {
  readonly attributes: Record<string, string | number>;
  status: { code: number; message?: string } | undefined;
  /** How often it was ended. */
  ends = 0;
  /** What was done to it after its end. */
  readonly tooLate: string[] = [];
  readonly context = { traceId: hexadecimal(16), spanId: hexadecimal(8), traceFlags: 1 };

  readonly name: string;

  constructor(name: string, attributes: Record<string, string | number> = {}) {
    this.name = name;
    this.attributes = { ...attributes };
  }

  setAttribute(name: string, value: string | number): this {
    if (this.ends > 0) this.tooLate.push(name);
    this.attributes[name] = value;
    return this;
  }

  setStatus(status: { code: number; message?: string }): this {
    if (this.ends > 0) this.tooLate.push('status');
    this.status = status;
    return this;
  }

  end(): void {
    this.ends += 1;
  }

  spanContext() {
    return this.context;
  }

  get key() {
    return this.attributes['abs.runtime.key'];
  }

  get traceparent() {
    const { traceId, spanId, traceFlags } = this.context;
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  }
}

export class Spans {
  readonly all: Span[] = [];
  readonly tracers: string[] = [];
  /** May change or break a span that is about to be given out. */
  prepare: (span: Span) => void = () => {};

  readonly tracerProvider: TracerProvider = {
    getTracer: (name) => {
      this.tracers.push(name);
      return {
        startSpan: (spanName, options) => {
          const span = new Span(spanName, options?.attributes);
          this.all.push(span);
          this.prepare(span);
          return span;
        },
      };
    },
  };

  of(key: string): Span[] {
    return this.all.filter((span) => span.key === key);
  }

  /** The only span of the key. */
  the(key: string): Span {
    const [span, ...others] = this.of(key);
    if (span === undefined || others.length > 0)
      throw new Error(`${key} has ${this.of(key).length} spans`);
    return span;
  }

  /** What holds of all of them once everything is over. */
  problems(): string[] {
    return this.all.flatMap((span) => [
      ...(span.ends === 1 ? [] : [`${span.key}: ended ${span.ends} times`]),
      ...span.tooLate.map((what) => `${span.key}: ${what} after its end`),
    ]);
  }
}
