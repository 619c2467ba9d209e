// A local package registry with this project's packages only, as if they were published: package
// managers choose among them by version, system and libc; platform packages that were not built
// are missing.
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename } from 'node:path';

/**
 * @param {string[]} tarballs paths
 * @returns {Promise<{ url: string, close: () => void }>}
 */
export async function serveTarballs(tarballs) {
  const packages = tarballs.map((path) => ({
    path,
    content: readFileSync(path),
    manifest: manifestIn(path),
  }));
  const server = createServer(({ url = '', headers }, response) => {
    const asked = decodeURIComponent(url.slice(1));
    const file = packages.find(({ path }) => asked === `tarballs/${basename(path)}`);
    if (file) return void response.end(file.content);
    const found = packages.find(({ manifest }) => manifest.name === asked);
    if (found) {
      response.setHeader('content-type', 'application/json');
      return void response.end(JSON.stringify(packument(found, `http://${headers.host}/tarballs`)));
    }
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: 'Not found' }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${address.port}/`, close: () => void server.close() };
}

/**
 * A registry's description of a package.
 *
 * @param {{ path: string, content: Buffer, manifest: any }} file
 * @param {string} tarballsUrl
 */
function packument({ path, content, manifest }, tarballsUrl) {
  const integrity = `sha512-${createHash('sha512').update(content).digest('base64')}`;
  const dist = { tarball: `${tarballsUrl}/${basename(path)}`, integrity };
  const { name, version } = manifest;
  return { name, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist } } };
}

/** @param {string} tarball @returns {any} its package.json */
export function manifestIn(tarball) {
  const { stdout, stderr, status } = spawnSync('tar', ['-xOzf', tarball, 'package/package.json']);
  if (status !== 0) throw new Error(`${tarball}: ${stderr}`);
  return JSON.parse(String(stdout));
}
