import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, newPage, signIn, waitForLive } from '../support/browser.mjs';
import { serverName } from '../support/csv.mjs';
import { approve, figure, importCsv, mappingRow, readsOf, unique } from '../support/steps.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();

/** Notices a reload: the mark lives only in the running document. */
async function watchReload(page) {
  await page.evaluate(() => {
    window.sameDocument = true;
  });
  return () => page.evaluate(() => window.sameDocument === true);
}

test('a bulk approval in one tab appears in the other tab and in another browser, without a reload', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  const importId = await importCsv(page, { name: 'live.csv', rows: 50, prefix: 'live' });
  const address = `/imports/${importId}/mappings`;

  const secondTab = await page.context().newPage();
  const otherBrowser = await newPage(shared.browser, shared.url);
  await signIn(otherBrowser, ACCOUNTS.acmeAdmin);
  const watchers = [];
  for (const each of [page, secondTab, otherBrowser]) {
    await each.goto(address);
    await each.getByLabel('Select *Server name').waitFor();
    await waitForLive(each);
    watchers.push(await watchReload(each));
  }

  await approve(page, '*Server name', 'IP addresses');
  for (const each of [secondTab, otherBrowser]) {
    await mappingRow(each, '*Server name').getByText('Approved').waitFor({ timeout: 5_000 });
    await mappingRow(each, 'IP addresses').getByText('Approved').waitFor({ timeout: 5_000 });
    assert.equal(await figure(each, 'approved'), 2);
  }
  for (const sameDocument of watchers) assert.equal(await sameDocument(), true);
  await otherBrowser.context().close();
  await page.context().close();
});

test('only what changed is asked for again', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  const importId = await importCsv(page, { name: 'exact.csv', rows: 20, prefix: 'exact' });
  const watcher = await newPage(shared.browser, shared.url);
  await signIn(watcher, ACCOUNTS.acmeAdmin);
  for (const each of [page, watcher]) {
    await each.goto(`/imports/${importId}/mappings`);
    await each.getByLabel('Select *Server name').waitFor();
    await waitForLive(each);
  }
  await watcher.waitForLoadState('networkidle');
  const asked = [];
  watcher.on('request', (request) => asked.push(...readsOf(request)));

  await approve(page, '*Server name');
  await mappingRow(watcher, '*Server name').getByText('Approved').waitFor();
  await watcher.waitForLoadState('networkidle');
  const mappings = `/field-mappings/${importId}`;
  assert.ok(asked.includes(mappings) && asked.includes(`${mappings}/statistics`), `asked: ${asked}`);
  assert.ok(!asked.includes('/target-attributes') && !asked.includes('/context-establishment/clients'), `asked: ${asked}`);
  await watcher.context().close();
  await page.context().close();
});

test('what was missed while offline appears after the reconnect', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  const importId = await importCsv(page, { name: 'offline.csv', rows: 20, prefix: 'off' });

  const away = await newPage(shared.browser, shared.url);
  const sockets = [];
  let blocked = false;
  await away.routeWebSocket(/\/api\/v1\/events/, (route) => {
    if (blocked) {
      route.close({ code: 1011, reason: 'blocked by the test' });
      return;
    }
    sockets.push(route);
    route.connectToServer();
  });
  await signIn(away, ACCOUNTS.acmeAdmin);
  for (const each of [page, away]) {
    await each.goto(`/imports/${importId}/mappings`);
    await each.getByLabel('Select *Server name').waitFor();
    await waitForLive(each);
  }

  blocked = true;
  for (const socket of sockets) await socket.close({ code: 1011, reason: 'cut by the test' });
  await away.getByRole('button', { name: /^Connection: (Catching up|Offline)/ }).waitFor();
  await approve(page, '*Server name');
  assert.equal(await figure(away, 'approved'), 0);

  blocked = false;
  await waitForLive(away);
  await mappingRow(away, '*Server name').getByText('Approved').waitFor();
  await away.context().close();
  await page.context().close();
});

test('everything works without a live connection', async () => {
  const page = await newPage(shared.browser, shared.url);
  await page.routeWebSocket(/\/api\/v1\/events/, (route) => route.close({ code: 1011, reason: 'blocked by the test' }));
  await page.route('**/api/v1/events/stream**', (route) => route.abort());
  await signIn(page, ACCOUNTS.acmeAnalyst);
  await page.getByRole('button', { name: /^Connection: Offline/ }).waitFor();
  const prefix = unique('poll');
  const importId = await importCsv(page, { name: 'polling.csv', rows: 20, prefix });
  await page.goto(`/imports/${importId}/mappings`);
  await approve(page, '*Server name');
  assert.equal(await figure(page, 'approved'), 1);
  await page.getByRole('link', { name: 'Asset inventory' }).click();
  await page.getByLabel('Search the assets').fill(serverName(0, prefix));
  await page.getByRole('rowheader', { name: serverName(0, prefix) }).waitFor();
  await page.context().close();
});
