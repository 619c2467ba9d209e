// Part of the page: what a browser can do with the server that it came from. Each try returns what
// came of it.

/** @param {string} path @param {RequestInit} [init] */
const textOf = async (path, init) => (await fetch(path, init)).text();

/** @param {string} path */
const seen = async (path = '/seen') => JSON.parse(await textOf(path));

/** @param {string} path */
const socketTo = (path, protocols = /** @type {string[]} */ ([])) =>
  new WebSocket(location.origin.replace('http', 'ws') + path, protocols);

/** @param {WebSocket} socket @returns {Promise<string>} */
const closed = (socket) =>
  new Promise((resolve) => {
    socket.onclose = ({ code, reason, wasClean }) => resolve(`${code} ${reason} ${wasClean}`);
  });

/** The names and sizes of cookies. @param {string} cookies */
const sizes = (cookies) =>
  cookies
    .split('; ')
    .map((cookie) => `${cookie.split('=')[0]}: ${cookie.length}`)
    .sort();

/** @type {Record<string, (other: string) => unknown>} */
const tries = {
  cookies: async () => {
    await textOf('/cookies');
    return [sizes(document.cookie), sizes(await textOf('/cookie'))];
  },
  redirects: async () => {
    const ends = [];
    for (const status of [301, 302, 303, 307, 308]) {
      for (const to of ['method', '/method', 'ORIGIN/method']) {
        const init = { method: 'POST', body: 'body' };
        const answer = await fetch(`/redirect?is=${status}&to=${to}`, init);
        const isHere = answer.url === `${location.origin}/method`;
        ends.push(`${status} ${isHere && answer.redirected} ${await answer.text()}`);
      }
    }
    return ends;
  },
  'what has not changed': async () => {
    const statuses = [];
    /** @type {[string, string, string][]} */
    const kept = [
      ['/etag', 'if-none-match', '"one"'],
      ['/modified', 'if-modified-since', 'Wed, 21 Oct 2015 07:28:00 GMT'],
    ];
    for (const [path, name, value] of kept) {
      const isSame = (await textOf(path)) === (await textOf(path));
      const again = await fetch(path, { headers: { [name]: value }, cache: 'no-store' });
      statuses.push(isSame, again.status);
    }
    return statuses;
  },
  'what is compressed': async () => {
    const answers = await Promise.all([fetch('/gzip'), fetch('/br')]);
    const texts = await Promise.all(answers.map((answer) => answer.text()));
    return answers.map(({ headers }, at) => [headers.get('content-encoding'), texts[at]?.length]);
  },
  'a stream, part by part': async () => {
    const reader = (await fetch('/stream')).body?.pipeThrough(new TextDecoderStream()).getReader();
    let parts = 0;
    let text = '';
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done) return [text, parts > 1];
      parts += 1;
      text += value;
    }
  },
  statuses: async () => {
    const answers = [204, 205, 404, 418, 500, 503].map((status) => fetch(`/status?is=${status}`));
    return (await Promise.all(answers)).map(({ status }) => status);
  },
  methods: async () => {
    const said = await Promise.all([
      ...['PUT', 'PATCH', 'DELETE'].map((method) => textOf('/method', { method, body: method })),
      textOf('/method', { method: 'POST' }),
      textOf('/method', { method: 'OPTIONS' }),
      textOf('/method', { method: 'POST', body: 'kept', keepalive: true }),
    ]);
    const head = await fetch('/etag', { method: 'HEAD', cache: 'no-store' });
    return [...said, head.headers.get('content-length'), await head.text()];
  },
  'a form with a file': () => {
    const form = new FormData();
    form.set('text', 'ä€');
    form.set('file', new File([new Uint8Array(70_000)], 'ü "q".bin'));
    return textOf('/form', { method: 'POST', body: form });
  },
  'an upload with progress': () =>
    new Promise((resolve) => {
      const request = new XMLHttpRequest();
      let isInOrder = true;
      let last = 0;
      let times = 0;
      request.upload.onprogress = ({ loaded }) => {
        isInOrder &&= loaded >= last;
        last = loaded;
        times += 1;
      };
      request.onloadend = () =>
        resolve([request.status, request.responseText, isInOrder, last, times > 0]);
      request.open('POST', '/upload');
      request.send(new Blob([new Uint8Array(8 << 20)]));
    }),
  'a long answer': async () =>
    (await (await fetch(`/download?bytes=${8 << 20}`)).arrayBuffer()).byteLength,
  'a range': async () => {
    const answer = await fetch('/sound.wav', { headers: { range: 'bytes=10-19' } });
    const bytes = (await answer.arrayBuffer()).byteLength;
    return [answer.status, answer.headers.get('content-range'), bytes];
  },
  'a player that seeks': () =>
    new Promise((resolve) => {
      const player = new Audio('/sound.wav');
      player.onloadedmetadata = () => (player.currentTime = 55);
      player.onseeked = () => resolve([player.duration, player.currentTime]);
      player.onerror = () => resolve(player.error?.message);
    }),
  'another origin': async (other) => {
    const asked = { method: 'PUT', headers: { 'x-asked': '1' } };
    const answer = await fetch(`${other}/cors`, { ...asked, credentials: 'include' });
    const refused = await fetch(`${other}/method`, { method: 'PUT' }).catch(({ name }) => name);
    const { headers } = answer;
    return [await answer.text(), headers.get('x-told'), headers.get('x-hidden'), refused];
  },
  'an answer that is given up': async () => {
    const { left } = await seen();
    const end = new AbortController();
    const answer = await fetch('/endless', { signal: end.signal });
    await answer.body?.getReader().read();
    end.abort();
    while ((await seen()).left === left);
    return (await seen()).left - left;
  },
  'a service worker': async () => {
    const registration = await navigator.serviceWorker.register('/worker.js');
    while (!navigator.serviceWorker.controller) {
      await new Promise((resolve) => {
        navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true });
      });
    }
    const both = [await textOf('/made-up'), await textOf('/method')];
    await registration.unregister();
    return both;
  },
  'a socket': async () => {
    const socket = socketTo('/socket', ['one', 'two']);
    socket.binaryType = 'arraybuffer';
    /** @type {unknown[]} */
    const said = [];
    socket.onmessage = ({ data }) =>
      said.push(typeof data === 'string' ? data : [data.byteLength, new Uint8Array(data)[1]]);
    socket.onopen = () => {
      said.push(socket.protocol, socket.extensions);
      const messages = ['text ä', '', new Uint8Array([0, 255]), new Uint8Array(3 << 20).fill(7)];
      for (const message of [...messages, 'close']) socket.send(message);
    };
    return [await closed(socket), ...said, sizes(document.cookie)];
  },
  'how sockets end': async () => {
    const [mine, cut, refused] = [socketTo('/socket'), socketTo('/socket'), socketTo('/plain')];
    mine.onopen = () => mine.close(4002, 'bye');
    cut.onopen = () => cut.send('terminate');
    return Promise.all([mine, cut, refused].map(closed));
  },
};

/** Does all of it, one after the other. @param {string} other an origin of another tenant */
async function tryAll(other) {
  /** @type {Record<string, unknown>} */
  const results = {};
  for (const [name, attempt] of Object.entries(tries)) results[name] = await attempt(other);
  return results;
}

/** Opens a socket and a stream of events, and tells of what becomes of them in `told`. */
function openBoth() {
  const told = { events: /** @type {unknown[]} */ ([]), opens: 0, closed: '' };
  const source = new EventSource('/events');
  source.onopen = () => (told.opens += 1);
  source.onmessage = ({ data }) => told.events.push(JSON.parse(data));
  const socket = socketTo('/socket');
  socket.onopen = () => (told.opens += 1);
  void closed(socket).then((how) => (told.closed = how));
  Object.assign(globalThis, { told, socket });
}

/** Asks again and again, ten at a time, until `globalThis.isEnough`. */
async function askAlong() {
  /** @type {Record<string, number>} */
  const counts = {};
  const one = async () => {
    while (!Reflect.get(globalThis, 'isEnough')) {
      const method = Math.random() < 0.5 ? 'GET' : 'PUT';
      const status = await fetch('/method', { method }).then(
        (answer) => answer.status,
        (error) => `${error}`,
      );
      counts[status] = (counts[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: 10 }, one));
  return counts;
}

Object.assign(globalThis, { tryAll, openBoth, askAlong });
