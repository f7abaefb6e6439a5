import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ACCOUNTS,
  assertRestored,
  chooseFirstEngagement,
  newPage,
  openKept,
  PASSWORD,
  signIn,
  waitForLive,
  watchSockets,
} from '../support/browser.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();

test('signing out in one tab signs out the other, and leaves nothing behind', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  const other = await page.context().newPage();
  await other.goto('/inventory?q=secret-server');
  await other.getByRole('heading', { name: 'Asset inventory' }).waitFor();

  await page.getByRole('button', { name: /^Account of/ }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  for (const each of [page, other]) {
    await each.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.equal(new URL(each.url()).search, '');
    assert.equal(await each.evaluate(() => sessionStorage.length), 0);
  }
  await other.goto('/flows');
  await other.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.context().close();
});

test('a session that ended leads to sign-in and back to where one was', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  await page.goto('/flows');
  await page.getByRole('heading', { name: 'Discovery flows' }).waitFor();
  await page.context().clearCookies();
  await page.reload();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.getByLabel('E-mail').fill(ACCOUNTS.acmeAnalyst);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(/\/(flows|choose\?next=%2Fflows)$/);
  await page.context().close();
});

test('switching the client leaves nothing of the old one on screen', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.operator, { choose: false });
  await page.goto('/choose');
  await page.getByRole('button', { name: /acme/i }).first().click();
  await page.getByRole('heading', { name: /Engagement of Acme/i }).waitFor();
  await chooseFirstEngagement(page);
  const acmeHeading = await page.getByRole('heading', { level: 1 }).innerText();

  const asked = [];
  page.on('request', (request) => {
    if (request.url().includes('/api/v1/')) asked.push(request.headers()['x-client-account-id']);
  });
  await page.getByRole('button', { name: /^Client:/ }).click();
  await page.getByRole('menuitem', { name: /globex/i }).click();
  await page.getByRole('button', { name: /^Client: Globex/i }).waitFor();
  await page.getByRole('heading', { name: /Engagement of Globex/i }).or(page.getByText(/Globex/).nth(1)).first().waitFor();
  await page.waitForLoadState('networkidle');
  const text = await page.locator('body').innerText();
  assert.ok(!text.includes(acmeHeading), 'the old engagement is still shown');
  assert.equal(new Set(asked.slice(-3)).size, 1, 'the last requests act for one client');
  await page.context().close();
});

test('a wrong password is refused in words, and nothing is told about the account', async () => {
  const page = await newPage(shared.browser, shared.url);
  const messages = [];
  for (const email of [ACCOUNTS.acmeAnalyst, 'nobody@acme.test']) {
    await page.goto('/sign-in');
    await page.getByLabel('E-mail').fill(email);
    await page.getByLabel('Password', { exact: true }).fill('wrong-password');
    await page.getByRole('button', { name: 'Sign in' }).click();
    messages.push(await page.getByRole('alert').innerText());
  }
  assert.equal(messages[0], messages[1]);
  await page.context().close();
});

test('refreshing the token of several tabs closes no connection and reads nothing again', async () => {
  const page = await newPage(shared.browser, shared.url);
  await watchSockets(page.context());
  await signIn(page, ACCOUNTS.acmeAnalyst);
  const pages = [page, await page.context().newPage(), await page.context().newPage()];
  for (const each of pages) {
    await each.goto('/flows');
    await waitForLive(each);
    await each.waitForLoadState('networkidle');
    await each.evaluate(() => {
      window.socketsBefore = [...window.liveSockets];
    });
  }
  const asked = [];
  page.context().on('request', (request) => {
    const { pathname } = new URL(request.url());
    // How fast the pages were is told whenever it is, and the other pages' programs come when the browser has nothing to do:
    // neither reads anything.
    if (!pathname.endsWith('/telemetry/vitals') && !pathname.startsWith('/assets/')) asked.push(pathname);
  });
  for (const each of pages) {
    const refresh = () => fetch('/api/v1/auth/refresh', { method: 'POST' }).then(({ status }) => status);
    assert.equal(await each.evaluate(refresh), 200);
  }
  await page.waitForTimeout(1_000);
  assert.deepEqual(asked, pages.map(() => '/api/v1/auth/refresh'));
  for (const each of pages) {
    const same = () => window.socketsBefore.every((socket) => window.liveSockets.has(socket));
    assert.ok(await each.evaluate(same), 'a socket was closed');
  }
  await page.context().close();
});

test('a token is refreshed when it is due, by one of several tabs, and by whoever finds it expired', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  const other = await page.context().newPage();
  await other.goto('/flows');
  await other.getByRole('heading', { name: 'Discovery flows' }).waitFor();
  const refreshes = [];
  page.context().on('request', (request) => request.url().endsWith('/auth/refresh') && refreshes.push(request));

  // Due since 1970, and somebody comes back to both.
  await page.context().addCookies([{ name: 'platform_signed_in', value: '1', url: shared.url }]);
  for (const each of [page, other]) await each.evaluate(() => void window.dispatchEvent(new Event('focus')));
  const due = async () =>
    Number((await page.context().cookies()).find(({ name }) => name === 'platform_signed_in')?.value) * 1000;
  const until = Date.now() + 5_000;
  while ((await due()) < Date.now() && Date.now() < until) await page.waitForTimeout(50);
  assert.ok((await due()) > Date.now(), 'it was not refreshed');
  assert.equal(refreshes.length, 1);

  // As if it had expired: nothing is let in until it is refreshed.
  let isExpired = true;
  await page.route('**/api/v1/**', (route) => {
    if (route.request().url().endsWith('/auth/refresh')) isExpired = false;
    return isExpired ? route.fulfill({ status: 401, json: {} }) : route.continue();
  });
  await page.getByRole('link', { name: 'Data import' }).click();
  await page.getByRole('heading', { name: 'Data import' }).waitFor();
  await page.getByRole('link', { name: 'Asset inventory' }).click();
  await page.getByRole('heading', { name: 'Asset inventory' }).waitFor();
  await page.waitForLoadState('networkidle');
  assert.equal(isExpired, false);
  assert.equal(await page.getByRole('heading', { name: 'Sign in' }).count(), 0);
  await page.context().close();
});

test('what several tabs find expired at the same time is refreshed once', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  const pages = [page, await page.context().newPage(), await page.context().newPage()];
  for (const each of pages) {
    await each.goto('/flows');
    await each.getByRole('heading', { name: 'Discovery flows' }).waitFor();
    await each.waitForLoadState('networkidle');
  }
  // As if it had expired, and each is told so before any of them has refreshed it.
  const told = new Set();
  let refreshes = 0;
  let allAreTold = () => {};
  const allTold = new Promise((resolve) => {
    allAreTold = resolve;
  });
  await page.context().route('**/api/v1/**', async (route) => {
    const asker = route.request().frame().page();
    if (route.request().url().endsWith('/auth/refresh')) {
      refreshes += 1;
      await allTold;
      return route.continue();
    }
    if (told.has(asker)) return route.continue();
    told.add(asker);
    await route.fulfill({ status: 401, json: {} });
    if (told.size === pages.length) allAreTold();
  });
  // The token's time is in whole seconds.
  await page.waitForTimeout(1_100);
  for (const each of pages) await each.getByRole('link', { name: 'Data import' }).click();
  for (const each of pages) await each.getByRole('heading', { name: 'Data import' }).waitFor();
  await allTold;
  for (const each of pages) await each.waitForLoadState('networkidle');
  assert.equal(refreshes, 1);
  await page.context().close();
});

test('a sign-out that the server could not be told of holds here, and is told later', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  const cookies = await page.context().cookies();
  await page.route('**/auth/logout', (route) => route.abort());
  await page.getByRole('button', { name: /^Account of/ }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.getByText('The server was not told of the sign-out').waitFor();
  await page.goto('/flows');
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();

  await page.unroute('**/auth/logout');
  const told = page.waitForResponse('**/auth/logout');
  await page.evaluate(() => void window.dispatchEvent(new Event('online')));
  assert.equal((await told).status(), 204);
  await page.context().addCookies(cookies);
  const asked = await page.context().request.get('/api/v1/context/me');
  assert.equal(asked.status(), 401, 'the session goes on');
  await page.context().close();
});

test('a page in the back/forward cache shows nothing of a session that ended meanwhile', async () => {
  const { browser, page } = await openKept(shared.url);
  try {
    await signIn(page, ACCOUNTS.acmeAnalyst);
    await page.goto('/flows');
    await page.getByRole('heading', { name: 'Discovery flows' }).waitFor();
    await waitForLive(page);
    await page.goto('/favicon.svg');
    // Without a message, which would take the page out of the cache; and with the cookies, so that the server is asked.
    const cookies = await page.context().cookies();
    const ended = await page.context().request.post('/api/v1/auth/logout', { headers: { Origin: shared.url } });
    assert.equal(ended.status(), 204);
    await page.context().addCookies(cookies);
    await page.goBack({ waitUntil: 'commit' });
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await assertRestored(page);
    const first = await page.evaluate(() => window.firstFrame);
    assert.ok(!first.includes('Discovery flows'), `its first frame shows: ${first}`);
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  } finally {
    await browser.close();
  }
});
