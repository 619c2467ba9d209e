// Packages whose download is large run within walls as they are. `npm run test:frameworks` runs
// these, too; `npm test` does not.
import { test } from 'bun:test';
import { runsWithinWalls } from '../../support/walls/frameworks.ts';

const isAsked = process.env.LARGE_FRAMEWORKS === '1';
if (!isAsked) test.skip('sharp, vite and Next (only with npm run test:frameworks)', () => {});

if (isAsked) {
  await runsWithinWalls({
    name: 'sharp',
    packages: { sharp: '0.35.5' },
    files: {
      'server.ts': `
        import sharp from 'sharp';
        const create = { width: 64, height: 64, channels: 3, background: 'red' } as const;
        Bun.serve({
          port: process.env.PORT,
          async fetch() {
            const png = await sharp({ create }).resize(16, 8).png().toBuffer();
            const { width, height, format } = await sharp(png).metadata();
            return new Response([format, width, height].join(' '));
          },
        });`,
    },
    asks: { '/': 'png 16 8' },
  });

  await runsWithinWalls({
    name: 'vite preview',
    packages: { vite: '8.4.0' },
    files: {
      'index.html':
        '<!doctype html><title>hello from vite</title><script type="module" src="/main.js"></script>',
      'main.js': `document.title += '!';`,
      'vite.config.js': `export default { preview: { port: Number(process.env.PORT), strictPort: true, host: '127.0.0.1' } };`,
    },
    build: ['vite', 'build'],
    command: ['bun', 'node_modules/vite/bin/vite.js', 'preview'],
    asks: { '/': 'hello from vite' },
  });

  const next = {
    packages: { next: '16.4.6', react: '19.3.1', 'react-dom': '19.3.1' },
    files: {
      'next.config.mjs': `export default { output: 'standalone', outputFileTracingRoot: import.meta.dirname };`,
      'app/layout.js': 'export default ({ children }) => <html><body>{children}</body></html>;',
      'app/page.js': `
        export const dynamic = 'force-dynamic';
        export default () => <p>hello from next {6 * 7}</p>;`,
      'app/api/route.js': `export const GET = () => Response.json({ route: 'of next' });`,
    },
    build: ['next', 'build'],
    built: '.next/standalone',
    env: { HOSTNAME: '127.0.0.1' },
    asks: { '/': 'hello from next', '/api': '{"route":"of next"}' },
  };
  for (const engine of ['bun', 'node']) {
    await runsWithinWalls({
      ...next,
      name: `Next standalone in ${engine}`,
      command: [engine, 'server.js'],
    });
  }
}
