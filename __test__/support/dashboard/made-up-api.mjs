// The API of a made-up host: as `createApi` of lib/control answers it.

/** @typedef {ReturnType<typeof import('./made-up-host.mjs').madeUpHost>} MadeUpHost */
/** @typedef {import('node:http').ServerResponse} Response */

/** @param {MadeUpHost} host @returns {import('../../../lib/dashboard/server.js').Api} */
export function apiOf(host) {
  return async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://host');
    const [part = '', key, action] = url.pathname.slice(1).split('/').map(decodeURIComponent);
    const streams = request.headers.accept === 'text/event-stream';
    if (request.method === 'POST') return act(host, response, part, key, action);
    const tenant = key === undefined ? undefined : host.tenants.get(key);
    if (key !== undefined && tenant === undefined) return fail(response, 404, 'NOT_FOUND', key);
    const send = streams ? openStream(response) : undefined;
    if (part === 'host') {
      if (send === undefined) return json(response, 200, host.hostNow());
      send('host', host.hostNow());
      return listen(response, host, (name, data) => name === 'host' && send(name, data));
    }
    if (part === 'tenants' && key === undefined) {
      const value = { at: Date.now(), tenants: [...host.tenants.values()] };
      if (send === undefined) return json(response, 200, value);
      if (host.is.held !== undefined) send('host', host.hostNow());
      await host.is.held;
      send('tenants', value);
      send('host', host.hostNow());
      return listen(response, host, (name, data) => {
        if (name === 'changed' || name === 'host') send(name, data);
      });
    }
    if (part === 'events') {
      if (send === undefined) return json(response, 200, { events: host.events });
      host.events.forEach((event) => send('event', event));
      return listen(response, host, (name, data) => name === 'event' && send(name, data));
    }
    if (part === 'tenants' && action === 'logs') {
      const lines = host.lines.filter((line) => line.key === key).slice(-1000);
      if (send === undefined) return json(response, 200, { lines, dropped: 0 });
      lines.forEach((line) => send('line', line));
      return listen(response, host, (name, data) => {
        if (name === 'line' && data.key === key) send('line', data);
      });
    }
    if (part === 'tenants') return tenantPage(response, send, host, tenant);
    fail(response, 404, 'NOT_FOUND', url.pathname);
  };
}

/** @param {Response} response @param {Send | undefined} send @param {MadeUpHost} host @param {any} tenant */
function tenantPage(response, send, host, { key }) {
  const whole = host.whole(host.tenants.get(key));
  if (send === undefined) return json(response, 200, whole);
  send('tenant', whole);
  listen(response, host, (name, data) => {
    if ((name === 'event' || name === 'gone') && data.key === key) send(name, data);
    if (name === 'changed') {
      const mine = data.tenants.find((/** @type {any} */ tenant) => tenant.key === key);
      if (mine !== undefined) send('changed', mine);
    }
    if (name !== 'tick') return;
    const now = host.tenants.get(key);
    if (now === undefined) return;
    const { cpuPercent, rssBytes, requestsPerSecond, inFlight } = now;
    send('figures', { at: Date.now(), cpuPercent, rssBytes, requestsPerSecond, inFlight });
  });
}

/** @typedef {(name: string, data: any) => void} Send */

/** @param {Response} response @returns {Send} */
function openStream(response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  response.flushHeaders();
  return (name, data) => {
    const id = data?.seq === undefined ? '' : `id: ${data.seq}\n`;
    response.write(`event: ${name}\n${id}data: ${JSON.stringify(data)}\n\n`);
  };
}

/** @param {Response} response @param {MadeUpHost} host @param {Send} listener */
function listen(response, host, listener) {
  host.listeners.add(listener);
  response.on('close', () => host.listeners.delete(listener));
}

/**
 * @param {MadeUpHost} host
 * @param {Response} response
 * @param {string} part
 * @param {string | undefined} key
 * @param {string | undefined} action
 */
function act(host, response, part, key, action) {
  if (part !== 'tenants' || key === undefined || action === undefined) {
    return fail(response, 404, 'NOT_FOUND', part);
  }
  if (key.startsWith('broken')) {
    return fail(response, 503, 'ERR_RUNTIME_EXITED_EARLY', `"${key}" exited with code 1`);
  }
  json(response, 200, host.act(key, action));
}

/** @param {Response} response @param {number} status @param {string} code @param {string} message */
function fail(response, status, code, message) {
  json(response, status, { error: { code, message } });
}

/** @param {Response} response @param {number} status @param {unknown} value */
function json(response, status, value) {
  response.setHeader('content-type', 'application/json; charset=utf-8');
  response.writeHead(status).end(JSON.stringify(value));
}
