// One request over a bare socket, the cheapest client there is. It ends with a reset, so that a
// hundred thousand closed connections do not use up the ports.
import { connect } from 'node:net';

const PATIENCE_MS = 5_000;

/**
 * @param {number} port
 * @param {string} [path]
 * @returns {Promise<string>} the body, or its beginning if the tenant ended meanwhile
 */
export function ask(port, path = '/') {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    const end = (/** @type {Error | undefined} */ error) => {
      clearTimeout(timer);
      socket.resetAndDestroy();
      if (error) reject(error);
      else resolve(text.slice(text.indexOf('\r\n\r\n') + 4));
    };
    const timer = setTimeout(end, PATIENCE_MS, new Error(`no answer in ${PATIENCE_MS} ms`));
    socket.on('connect', () =>
      socket.write(`GET ${path} HTTP/1.1\r\nhost: tenant\r\nconnection: close\r\n\r\n`),
    );
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      const length = /content-length: (\d+)\r\n/i.exec(text);
      const begins = text.indexOf('\r\n\r\n') + 4;
      if (length && begins > 3 && text.length >= begins + Number(length[1])) end(undefined);
    });
    socket.on('error', end);
    socket.on('close', () => end(new Error('closed in the middle of an answer')));
  });
}
