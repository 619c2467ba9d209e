// The quick start of README.md, word for word but for the port.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const FILE = /<!-- file: (\S+) -->\n```\w+\n([^]*?)```/g;
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
 * Writes the files of the quick start. Its host ends when it has answered once.
 *
 * @param {string} directory
 * @returns {RegExp} what the host prints
 */
export function writeQuickStart(directory) {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const [, section = ''] = /^## Quick start\n([^]*?)^## /m.exec(readme) ?? [];
  for (const [, name = '', content = ''] of section.matchAll(FILE)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
  const [, host = ''] = HOST.exec(section) ?? [];
  const visited = host
    .replace('\ncreateGateway(', '\nconst gateway = createGateway(')
    .replace('port: 3000', 'port: 0');
  writeFileSync(join(directory, 'host.mjs'), visited + VISIT);
  return /^answered: hello$/m;
}
