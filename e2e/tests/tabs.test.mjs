import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ACCOUNTS,
  assertRestored,
  liveSockets,
  newPage,
  openKept,
  signIn,
  waitForLive,
  watchSockets,
} from '../support/browser.mjs';
import { approve, figure, heldBy, importCsv, mappingRow, signOut } from '../support/steps.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();

async function openReviews(page, importId, count) {
  const pages = [page];
  while (pages.length < count) pages.push(await page.context().newPage());
  for (const each of pages) {
    await each.goto(`/imports/${importId}/mappings`);
    await each.getByLabel('Select *Server name').waitFor();
    await waitForLive(each);
  }
  return pages;
}

test('tabs share one socket, and go on when the one that holds it is closed', async () => {
  const first = await newPage(shared.browser, shared.url);
  await watchSockets(first.context());
  await signIn(first, ACCOUNTS.acmeAnalyst);
  const importId = await importCsv(first, { name: 'tabs.csv', rows: 20, prefix: 'tabs' });
  const [, second, third] = await openReviews(first, importId, 3);
  assert.equal((await liveSockets([first, second, third])).length, 1);

  const admin = await newPage(shared.browser, shared.url);
  await signIn(admin, ACCOUNTS.acmeAdmin);
  await openReviews(admin, importId, 1);
  await approve(admin, '*Server name');
  for (const each of [first, second, third]) await mappingRow(each, '*Server name').getByText('Approved').waitFor();

  await first.close();
  await waitForLive(second);
  await approve(admin, 'IP addresses');
  for (const each of [second, third]) await mappingRow(each, 'IP addresses').getByText('Approved').waitFor();
  assert.equal((await liveSockets([second, third])).length, 1);
  await admin.context().close();
  await second.context().close();
});

test('two tabs of one user work for two clients, each with a socket of its own', async () => {
  const acme = await newPage(shared.browser, shared.url);
  await watchSockets(acme.context());
  await signIn(acme, ACCOUNTS.operator, { choose: false });
  const globex = await acme.context().newPage();
  for (const [page, name] of [
    [acme, /acme/i],
    [globex, /globex/i],
  ]) {
    await page.goto('/choose');
    await page.getByRole('region', { name: 'Client', exact: true }).getByRole('button', { name }).click();
    await page.getByRole('button', { name: new RegExp(`^Client: ${name.source}`, 'i') }).waitFor();
    await waitForLive(page);
  }
  // What one client's socket hears is nothing to the other's tab.
  assert.equal(new Set(await liveSockets([acme, globex])).size, 2);
  // The choice is the tab's, whatever the other one did meanwhile.
  await acme.reload();
  await acme.getByRole('button', { name: /^Client: Acme/i }).waitFor();
  await acme.getByRole('heading', { name: /^Engagement of Acme/i }).waitFor();
  await acme.context().close();
});

test('signing out in one tab leaves nothing of the session in any', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  const importId = await importCsv(page, { name: 'secret-plan.csv', rows: 20, prefix: 'leak' });
  const [, other] = await openReviews(page, importId, 2);
  assert.match(await heldBy(other), /secret-plan/);
  await other.bringToFront();
  await other.keyboard.press('j');
  await other.keyboard.press('a');
  await other.getByText('1 mapping approved.').waitFor();

  await page.bringToFront();
  await signOut(page);
  for (const each of [page, other]) {
    await each.getByRole('heading', { name: 'Sign in' }).waitFor();
    const held = await heldBy(each);
    for (const secret of ['secret-plan', 'leak-0001', ACCOUNTS.acmeAnalyst]) {
      assert.ok(!held.includes(secret), `${secret} is still there`);
    }
    assert.equal(await each.evaluate(() => sessionStorage.length), 0);
    assert.equal(await each.getByText('1 mapping approved.').count(), 0);
  }
  await page.context().close();
});

test('a page that comes back from the back/forward cache shows what changed meanwhile', async () => {
  const { browser, page } = await openKept(shared.url);
  try {
    await signIn(page, ACCOUNTS.acmeAnalyst);
    const importId = await importCsv(page, { name: 'bfcache.csv', rows: 20, prefix: 'bf' });
    await openReviews(page, importId, 1);
    await page.goto('/favicon.svg');

    const admin = await newPage(browser, shared.url);
    await signIn(admin, ACCOUNTS.acmeAdmin);
    await openReviews(admin, importId, 1);
    await approve(admin, '*Server name');

    await page.bringToFront();
    await page.goBack({ waitUntil: 'commit' });
    await mappingRow(page, '*Server name').getByText('Approved').waitFor();
    await waitForLive(page);
    await assertRestored(page);
    assert.equal(await figure(page, 'approved'), 1);
  } finally {
    await browser.close();
  }
});
