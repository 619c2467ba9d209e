/** Server-sent events to one client, who may be slow, or not read at all. */

/** What may wait for a client; beyond that it misses events, or gets them later. */
const MOST_WAITING_BYTES = 1 << 20;
/** A comment, so that both sides notice a connection that is gone. */
const ALIVE_MS = 15_000;

export const EVENT_STREAM = 'text/event-stream';

/** @param {import('node:http').ServerResponse} response */
export function openStream(response) {
  /** @type {(() => void)[]} */
  const onEnd = [];
  let waitingBytes = 0;
  let isOpen = true;
  response.writeHead(200, {
    'content-type': `${EVENT_STREAM}; charset=utf-8`,
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    'x-content-type-options': 'nosniff',
  });
  response.flushHeaders?.();
  const alive = setInterval(() => write(':\n\n'), ALIVE_MS);
  alive.unref?.();

  /** @param {string} text */
  function write(text) {
    if (!isOpen) return;
    const bytes = Buffer.from(text);
    waitingBytes += bytes.length;
    response.write(bytes, () => (waitingBytes -= bytes.length));
  }

  function end() {
    if (!isOpen) return;
    isOpen = false;
    clearInterval(alive);
    for (const ended of onEnd) ended();
  }
  response.once('close', end);
  response.on('error', end);

  return {
    /** Whether it has to wait for its client. */
    get isSlow() {
      return Math.max(waitingBytes, response.writableLength ?? 0) > MOST_WAITING_BYTES;
    },
    /** @param {string} event @param {unknown} data @param {number} [id] */
    send: (event, data, id) => write(textOfEvent(event, data, id)),
    write,
    /**
     * What is to be done when the client is gone, which it may be already.
     * @param {() => void} ended
     */
    onEnd: (ended) => void (isOpen ? onEnd.push(ended) : ended()),
  };
}

/** @typedef {ReturnType<typeof openStream>} Stream */

/** @param {string} event @param {unknown} data @param {number} [id] */
export function textOfEvent(event, data, id) {
  const name = id === undefined ? '' : `id: ${id}\n`;
  return `${name}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
