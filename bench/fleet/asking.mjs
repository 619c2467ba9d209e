// Asks one host for one key, over connections that stay open, each asking again when it was answered.
// Argument: { host, port, key, connections, requests } as JSON. Prints how long one request took.
import { connect } from 'node:net';

const { host, port, key, connections, requests } = JSON.parse(process.argv[2] ?? '');
const request = `GET / HTTP/1.1\r\nhost: ${key}\r\n\r\n`;
/** @type {number[]} */
const times = [];
let left = requests;

const asking = () =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    let sent = 0;
    let answer = '';
    const ask = () => {
      if (left === 0) return resolve(socket.destroy());
      left -= 1;
      answer = '';
      sent = performance.now();
      socket.write(request);
    };
    socket.setEncoding('latin1');
    socket.on('connect', ask);
    socket.on('data', (piece) => {
      answer += piece;
      // The whole body of the bed's tenant.
      if (!answer.endsWith('\r\n\r\nup')) return;
      times.push((performance.now() - sent) * 1e3);
      if (!answer.startsWith('HTTP/1.1 200')) reject(new Error(answer));
      ask();
    });
    socket.on('error', reject);
    socket.on('end', () => reject(new Error(`closed after ${JSON.stringify(answer)}`)));
  });

await Promise.all(Array.from({ length: connections }, asking));
times.sort((one, other) => one - other);
console.log(JSON.stringify({ p50Us: times[Math.floor(times.length / 2)] }));
