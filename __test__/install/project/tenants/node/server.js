import { createServer } from 'node:http';

createServer((_, response) => response.end('hello from a tenant')).listen(process.env.PORT);
