import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, chooseFirstEngagement, newPage, PASSWORD, signIn } from '../support/browser.mjs';
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
