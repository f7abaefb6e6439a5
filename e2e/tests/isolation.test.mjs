import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, newPage, signIn } from '../support/browser.mjs';
import { importCsv } from '../support/steps.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();

test("another client's pages do not exist", async () => {
  const acme = await newPage(shared.browser, shared.url);
  await signIn(acme, ACCOUNTS.acmeAnalyst);
  const importId = await importCsv(acme, { name: 'private.csv', rows: 20, prefix: 'secret' });
  await acme.getByRole('link', { name: 'Flow', exact: true }).click();
  await acme.waitForURL(/\/flows\/[0-9a-f-]{36}$/);
  const flowPath = new URL(acme.url()).pathname;

  const globex = await newPage(shared.browser, shared.url);
  await signIn(globex, ACCOUNTS.globexAnalyst);
  for (const path of [`/imports/${importId}`, `/imports/${importId}/mappings`, `/imports/${importId}/cleansing`, flowPath]) {
    await globex.goto(path);
    await globex.getByRole('heading', { name: 'Not found' }).waitFor();
    const text = await globex.locator('body').innerText();
    assert.ok(!/private\.csv|secret-/.test(text), `${path} shows data of another client`);
  }

  await globex.goto('/inventory');
  await globex.getByRole('heading', { name: 'Asset inventory' }).waitFor();
  await globex.getByLabel('Search the assets').fill('secret-0001');
  await globex.getByRole('heading', { name: 'No asset matches' }).waitFor();
  await globex.context().close();
  await acme.context().close();
});

test('an analyst is not shown the administration, and its address explains itself', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  assert.equal(await page.getByRole('link', { name: 'Administration' }).count(), 0);
  await page.goto('/admin/users');
  await page.getByRole('heading', { name: 'You may not see this page' }).waitFor();
  await page.context().close();
});
