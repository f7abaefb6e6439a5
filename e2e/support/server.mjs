import { cp } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnLeashed, temporaryFolder } from './leftovers.mjs';

/**
 * The real platform binary on a free loopback port, with a data folder of its own and the demo data.
 * With `BASE_URL` set, the tests run against a server that somebody else started.
 */
const REPOSITORY = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const BINARY = path.resolve(REPOSITORY, process.env.PLATFORM_BIN ?? 'target/debug/platform');
const READY_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 10_000;

export async function startServer() {
  if (process.env.BASE_URL) return { url: process.env.BASE_URL, stop: async () => {} };
  return startOwnServer();
}

/** As `startServer`, never anybody else's: with settings of its own, and a copy of the data folder `dataFrom`. */
export async function startOwnServer({ env = {}, dataFrom } = {}) {
  const port = await freePort();
  const { folder: dataDir, remove } = temporaryFolder('unstale-e2e-');
  if (dataFrom) await cp(dataFrom, dataDir, { recursive: true });
  const url = `http://127.0.0.1:${port}`;
  const log = [];
  let child;
  let exited;

  async function begin() {
    child = spawnLeashed(BINARY, [], {
      env: {
        ...process.env,
        LISTEN_ADDR: `127.0.0.1:${port}`,
        PORT: String(port),
        DATA_DIR: dataDir,
        DEMO: '1',
        REDIS_ENABLED: process.env.REDIS_ENABLED ?? 'false',
        ...env,
      },
    });
    exited = new Promise((resolve) => {
      child.once('exit', resolve);
      child.once('error', (error) => {
        log.push(String(error));
        resolve(null);
      });
    });
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => log.push(String(chunk)));
    await ready(url, exited);
  }

  async function end() {
    if (child.exitCode === null && child.pid) {
      child.kill('SIGTERM');
      let isKilled = false;
      const timer = setTimeout(() => {
        isKilled = child.kill('SIGKILL');
      }, STOP_WITHIN_MS);
      await exited;
      clearTimeout(timer);
      if (isKilled) throw new Error(`the server did not stop within ${STOP_WITHIN_MS} ms of SIGTERM:\n${log.slice(-20).join('')}`);
    }
  }

  async function stop() {
    await end();
    await remove();
  }

  try {
    await begin();
  } catch (error) {
    await stop();
    throw new Error(`${error.message}\n${log.join('').slice(-4_000)}`);
  }
  return { url, dataDir, stop, end, begin };
}

async function ready(url, exited) {
  let gone = false;
  exited.then(() => {
    gone = true;
  });
  const deadline = Date.now() + READY_WITHIN_MS;
  while (Date.now() < deadline) {
    if (gone) throw new Error(`${BINARY} ended before it was ready`);
    const answer = await fetch(`${url}/readyz`).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${BINARY} was not ready within ${READY_WITHIN_MS} ms`);
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
