import { AxeBuilder } from '@axe-core/playwright';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, newPage, signIn, waitForLive } from '../support/browser.mjs';
import { heldBy, importCsv, signOut } from '../support/steps.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();

test('what was read can be read offline, sealed and marked, and is gone after signing out', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  await waitForLive(page);
  assert.deepEqual(await page.evaluate(() => caches.keys()), [], 'nothing is kept by default');

  await page.getByRole('button', { name: /^Account of/ }).click();
  await page.getByRole('menuitem', { name: 'Keep for reading offline' }).click();
  await page.getByText('can now be read offline').waitFor();
  const importId = await importCsv(page, { name: 'travel.csv', rows: 20, prefix: 'away' });
  await page.goto(`/imports/${importId}/mappings`);
  await page.getByLabel('Select *Server name').waitFor();
  await page.waitForLoadState('networkidle');
  const stored = await page.evaluate(async () => {
    const texts = [];
    for (const name of await caches.keys()) {
      const cache = await caches.open(name);
      for (const request of await cache.keys()) texts.push(name, request.url, await (await cache.match(request)).text());
    }
    return texts.join('\n');
  });
  assert.match(stored, /unstale-last-known/);
  assert.ok(!/travel\.csv|Server name/.test(stored), 'what is kept can be read');

  await page.context().setOffline(true);
  await page.reload();
  await page.getByLabel('Select *Server name').waitFor();
  await page.getByText('You are offline').waitFor();
  await page.getByText(/was last known on/).waitFor();
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(violations.map(({ id }) => id), []);

  await page.context().setOffline(false);
  await page.evaluate(() => window.dispatchEvent(new Event('online')));
  await page.getByText('You are offline').waitFor({ state: 'detached' });
  await waitForLive(page);

  await signOut(page);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  const until = Date.now() + 5_000;
  while ((await page.evaluate(() => caches.keys())).length > 0 && Date.now() < until) await page.waitForTimeout(50);
  const held = await heldBy(page);
  for (const secret of ['travel.csv', 'unstale-last-known', ACCOUNTS.acmeAnalyst]) assert.ok(!held.includes(secret), secret);
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.context().setOffline(true);
  await assert.rejects(page.goto('/flows'), 'the pages are still kept');
  await page.context().close();
});
