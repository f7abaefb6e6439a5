import { spawnSync } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const APP = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../web/apps/platform');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** The pages built for development, where StrictMode renders and mounts everything twice. */
export function buildForDevelopment() {
  const folder = mkdtempSync(path.join(tmpdir(), 'unstale-development-'));
  const vite = path.resolve(APP, '../../node_modules/vite/bin/vite.js');
  const args = [vite, 'build', '--mode', 'development', '--outDir', folder, '--emptyOutDir', '--logLevel', 'error'];
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd: APP,
    env: { ...process.env, NODE_ENV: 'development' },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`The development build failed:\n${stderr}`);

  /** Serves these pages in place of the server's own; the API stays the server's. */
  async function serve(page) {
    await page.route(/^http:\/\/[^/]+\/(?!api\/|ofrep\/)/, async (route) => {
      const { pathname } = new URL(route.request().url());
      const file = path.extname(pathname) === '' ? '/index.html' : pathname;
      const body = await readFile(path.join(folder, file)).catch(() => null);
      if (body === null) return route.fallback();
      return route.fulfill({ body, contentType: TYPES[path.extname(file)] ?? 'application/octet-stream' });
    });
  }
  return { serve, remove: () => rm(folder, { recursive: true, force: true }) };
}
