// What comes from the host: streams of events that are opened again when they break, and whether
// the host is there. Nothing is shown as true any longer than the host is heard.

/** A host is heard every second or two. One that is silent this long is as good as gone. */
const SILENCE_MS = 10_000;
/** Between tries to open a stream again. */
const RETRY_MS = [500, 1000, 2000, 5000];
/** A page that nobody sees lets go of its streams: a browser has six connections to a host. */
const HIDDEN_MS = 10_000;

/** @typedef {ReturnType<typeof createLink>} Link */
/** @typedef {Record<string, (data: any) => void>} Handlers by the name of the event */

/** @param {() => void} onChange when the host is lost or found */
export function createLink(onChange) {
  let isLost = false;
  /** What a host says that answers, but gives no stream. */
  let refusal = '';
  /** @type {number | undefined} */
  let heardAt;
  /** Since when something is to be heard. */
  let listeningAt = 0;
  /** @type {Set<{ pause: () => void, resume: () => void }>} */
  const streams = new Set();

  function heard() {
    heardAt = Date.now();
    refusal = '';
    set(false);
  }

  /** @param {boolean} now */
  function set(now) {
    if (isLost === now) return;
    isLost = now;
    onChange();
  }

  setInterval(() => {
    const isSilent = Date.now() - Math.max(listeningAt, heardAt ?? Infinity) > SILENCE_MS;
    if (isSilent && streams.size > 0 && !document.hidden) set(true);
  }, 1000);

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let hiding;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(() => streams.forEach((s) => s.pause()), HIDDEN_MS);
    else resumeAll();
  });

  function resumeAll() {
    listeningAt = Date.now();
    streams.forEach((stream) => stream.resume());
  }

  /**
   * Follows a stream until the function that it returns is called.
   * @param {string} path
   * @param {Handlers} handlers `opened` is called before the first event of each connection, and
   *   `refused` with the error of a host that will not give the stream
   */
  function follow(path, handlers) {
    /** @type {EventSource | undefined} */
    let source;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let retry;
    let tries = 0;
    let isEnded = false;

    function open() {
      const mine = new EventSource(path);
      source = mine;
      mine.addEventListener('open', () => {
        tries = 0;
        handlers.opened?.(undefined);
        heard();
      });
      mine.addEventListener('error', () => void broke(mine));
      for (const [name, handle] of Object.entries(handlers)) {
        if (name === 'opened' || name === 'refused') continue;
        mine.addEventListener(name, (event) => {
          heard();
          handle(JSON.parse(event.data));
        });
      }
    }

    /**
     * A stream says only that it broke; the same path says whether the host did.
     * @param {EventSource} mine
     */
    async function broke(mine) {
      if (mine !== source) return;
      pause();
      const { status, error } = await ask(path);
      if (isEnded || source !== undefined) return;
      if (status !== undefined && status >= 400 && status < 500) return handlers.refused?.(error);
      if (status === undefined || status >= 500) {
        refusal = error?.message ?? '';
        set(true);
      }
      retry = setTimeout(resume, RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]);
      tries += 1;
    }

    function pause() {
      clearTimeout(retry);
      source?.close();
      source = undefined;
    }

    function resume() {
      if (source === undefined && !isEnded) open();
    }

    const stream = { pause, resume };
    streams.add(stream);
    open();
    return () => {
      isEnded = true;
      pause();
      streams.delete(stream);
    };
  }

  return { follow, isLost: () => isLost, heardAt: () => heardAt, refusal: () => refusal };
}

/**
 * One answer. Without a status the host was not reached.
 * @param {string} path
 * @param {RequestInit} [how]
 * @returns {Promise<{ status?: number, value?: any, error?: { code: string, message: string } }>}
 */
export async function ask(path, how) {
  try {
    const response = await fetch(path, how);
    const value = await response.json();
    return { status: response.status, value, error: response.ok ? undefined : value.error };
  } catch {
    return {};
  }
}
