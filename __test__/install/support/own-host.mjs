// The host of one's own of README.md, word for word but for the ports.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const TENANT_FILE = /<!-- file: (tenants\/\S+) -->\n```\w+\n([^]*?)```/g;
const HOST = /```js\n(\/\/ host\.mjs\n[^]*?)```/;

/**
 * What its reader does next: asks for the page, and ends the host. By a bare socket, since programs
 * with a proxy in their environment are tried, too.
 */
const VISIT = `
const [{ port }] = await gateway.listening;
const { connect } = await import('node:net');
const visitor = connect(port, '127.0.0.1');
visitor.write('GET / HTTP/1.1\\r\\nHost: hello.localhost:' + port + '\\r\\nConnection: close\\r\\n\\r\\n');
let answer = '';
visitor.on('data', (bytes) => (answer += bytes));
visitor.on('end', () => {
  console.log('answered: ' + answer.split('\\r\\n\\r\\n').at(-1));
  process.kill(process.pid, 'SIGTERM');
});
`;

/**
 * Writes it, and its tenants. It ends when it has answered once.
 *
 * @param {string} directory
 * @returns {RegExp} what the host prints
 */
export function writeOwnHost(directory) {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  for (const [, name = '', content = ''] of readme.matchAll(TENANT_FILE)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
  const [, host = ''] = HOST.exec(readme) ?? [];
  const anyPort = host.replaceAll(/\b(?:3000|3900|9464)\b/g, '0');
  writeFileSync(join(directory, 'host.mjs'), anyPort + VISIT);
  return /^answered: hello$/m;
}
