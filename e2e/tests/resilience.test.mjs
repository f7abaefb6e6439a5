import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, newPage, signIn, waitForLive, watchErrors } from '../support/browser.mjs';
import { approve, figure, importCsv, mappingRow, signOut } from '../support/steps.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();

/** An admin who changes things, and somebody who watches, before the same review. */
async function twoReaders(name, prepare = async () => {}) {
  const admin = await newPage(shared.browser, shared.url);
  await signIn(admin, ACCOUNTS.acmeAdmin);
  const importId = await importCsv(admin, { name: `${name}.csv`, rows: 20, prefix: name });
  const watcher = await newPage(shared.browser, shared.url);
  await prepare(watcher);
  await signIn(watcher, ACCOUNTS.acmeAnalyst);
  for (const page of [admin, watcher]) {
    await page.goto(`/imports/${importId}/mappings`);
    await page.getByLabel('Select *Server name').waitFor();
    await waitForLive(page);
  }
  const close = async () => {
    await admin.context().close();
    await watcher.context().close();
  };
  return { admin, watcher, close };
}

test('where no WebSocket comes through, changes still appear by themselves', async () => {
  const { admin, watcher, close } = await twoReaders('stream', (page) =>
    page.routeWebSocket(/\/api\/v1\/events/, (route) => route.close({ code: 1011, reason: 'no WebSockets here' })),
  );
  await approve(admin, '*Server name');
  await mappingRow(watcher, '*Server name').getByText('Approved').waitFor();
  await close();
});

test('a laptop that slept catches up, although its socket looks open', async () => {
  let asleep = false;
  let toPage;
  const { admin, watcher, close } = await twoReaders('sleep', async (page) => {
    await page.addInitScript(() => {
      const now = Date.now.bind(Date);
      Date.now = () => now() + (window.sleptMs ?? 0);
    });
    await page.routeWebSocket(/\/api\/v1\/events/, (route) => {
      const server = route.connectToServer();
      toPage = route;
      const first = !asleep;
      // The first connection dies without a word, as one does whose router forgot it.
      server.onMessage((message) => (first && asleep ? undefined : route.send(message)));
    });
  });
  toPage.send('{"type":"ping"}');
  asleep = true;
  await approve(admin, '*Server name');
  assert.equal(await figure(watcher, 'approved'), 0);

  await watcher.bringToFront();
  await watcher.evaluate(() => {
    window.sleptMs = 3_600_000;
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await mappingRow(watcher, '*Server name').getByText('Approved').waitFor();
  await waitForLive(watcher);
  await close();
});

test('on a slow network nothing old is shown after something newer', async () => {
  const { admin, watcher, close } = await twoReaders('slow');
  const devtools = await watcher.context().newCDPSession(watcher);
  await devtools.send('Network.enable');
  const conditions = { offline: false, latency: 400, downloadThroughput: 40_000, uploadThroughput: 20_000 };
  await devtools.send('Network.emulateNetworkConditions', conditions);
  const seen = watcher.evaluate(
    () =>
      new Promise((resolve) => {
        const figures = [];
        const look = () => {
          const shown = Number.parseInt(document.querySelector('[data-figure="approved"]')?.textContent ?? '', 10);
          if (!Number.isNaN(shown) && shown !== figures.at(-1)) figures.push(shown);
          if (shown === 3) resolve(figures);
          else setTimeout(look, 20);
        };
        look();
      }),
  );
  for (const column of ['*Server name', 'IP addresses', '*Cores']) await approve(admin, column);
  const figures = await seen;
  assert.deepEqual(figures, figures.toSorted(), `went back: ${figures}`);
  await close();
});

test('a server that was restarted is found again, with what changed before and after', { skip: Boolean(process.env.BASE_URL) }, async () => {
  const { admin, watcher, close } = await twoReaders('restart');
  await shared.server.end();
  await watcher.getByRole('button', { name: /^Connection: (Catching up|Offline)/ }).waitFor();
  // Data that is shown stays on screen while nobody answers.
  await watcher.getByLabel('Select *Server name').waitFor();
  await shared.server.begin();
  for (const page of [admin, watcher]) {
    await page.bringToFront();
    await waitForLive(page);
  }
  await approve(admin, '*Server name');
  await mappingRow(watcher, '*Server name').getByText('Approved').waitFor();
  await close();
});

test('a browser without sockets, streams, locks, channels, storage and caches does everything, slower', async () => {
  const page = await newPage(shared.browser, shared.url);
  const errors = watchErrors(page);
  await page.addInitScript(() => {
    for (const name of ['WebSocket', 'EventSource', 'BroadcastChannel', 'caches']) {
      Object.defineProperty(window, name, { value: undefined, configurable: true });
    }
    Object.defineProperty(navigator, 'locks', { value: undefined });
    for (const name of ['sessionStorage', 'localStorage']) {
      const get = () => {
        throw new DOMException('switched off', 'SecurityError');
      };
      Object.defineProperty(window, name, { get });
    }
  });
  await page.route('**/api/v1/batch', (route) => route.fulfill({ status: 404, json: { title: 'Not found' } }));
  await signIn(page, ACCOUNTS.acmeAnalyst);
  await page.getByText('No live connection').waitFor();
  const importId = await importCsv(page, { name: 'plain.csv', rows: 20, prefix: 'plain' });
  await page.goto(`/imports/${importId}/mappings`);
  await approve(page, '*Server name');
  assert.equal(await figure(page, 'approved'), 1);
  await signOut(page);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});
