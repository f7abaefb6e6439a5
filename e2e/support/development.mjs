import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { temporaryFolder } from './leftovers.mjs';

const APP = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../web/apps/platform');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** The pages built for development, where StrictMode renders and mounts everything twice. */
export const buildForDevelopment = () => build(['--mode', 'development'], { NODE_ENV: 'development' });

/** The pages as they reached the server before, for measuring (`web/apps/platform/former`). */
export const buildFormer = () => build(['--config', 'former/vite.config.ts'], {});

/** The pages as they are released. */
export const buildReleased = () => build([], {});

function build(options, env) {
  const { folder, remove } = temporaryFolder('unstale-pages-');
  const vite = path.resolve(APP, '../../node_modules/vite/bin/vite.js');
  const args = [vite, 'build', ...options, '--outDir', folder, '--emptyOutDir', '--logLevel', 'error'];
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd: APP,
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`The pages could not be built (${options.join(' ')}):\n${stderr}`);

  return { folder, remove };
}

/** Built pages at an address of their own; whatever is not one of them is passed on to the server, sockets too. */
export async function servePages(folder, serverUrl) {
  const { hostname, port } = new URL(serverUrl);
  // As the server's own pages are: packed, once.
  const packed = new Map();
  const pack = (file, body) => {
    if (!packed.has(file)) packed.set(file, gzipSync(body));
    return packed.get(file);
  };
  const passOn = ({ method, url, headers }) => http.request({ hostname, port, method, path: url, headers });

  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, serverUrl);
    if (!/^\/(api|ofrep)\//.test(pathname)) {
      const file = path.extname(pathname) === '' ? '/index.html' : pathname;
      const body = await readFile(path.join(folder, file)).catch(() => null);
      const isPacked = body !== null && path.extname(file) in TYPES && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
      response.writeHead(body ? 200 : 404, {
        'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream',
        ...(isPacked ? { 'Content-Encoding': 'gzip' } : {}),
        'Cache-Control': pathname.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
      });
      return response.end(isPacked ? pack(file, body) : body);
    }
    const passed = passOn(request);
    passed.on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    return request.pipe(passed);
  });
  const sockets = new Set();
  server.on('upgrade', (request, socket) => {
    sockets.add(socket);
    const passed = passOn(request);
    passed.on('upgrade', (answer, upstream, first) => {
      const head = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}`);
      socket.write(['HTTP/1.1 101 Switching Protocols', ...head, '', ''].join('\r\n'));
      socket.write(first);
      upstream.pipe(socket).pipe(upstream);
      for (const end of [upstream, socket]) {
        end.on('error', () => {});
        end.on('close', () => [upstream, socket].map((each) => each.destroy()));
      }
    });
    passed.on('error', () => socket.destroy());
    passed.end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, stop };
}
