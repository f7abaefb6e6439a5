import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, newPage, signIn } from '../support/browser.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();

test('how fast pages are is told to the server, without what was looked at', async () => {
  const page = await newPage(shared.browser, shared.url);
  const told = [];
  await page.route('**/api/v1/telemetry/vitals', (route) => {
    told.push(...route.request().postDataJSON());
    return route.fulfill({ status: 204 });
  });
  await signIn(page, ACCOUNTS.acmeAnalyst);
  // Loaded anew, as a page is that somebody comes back to.
  await page.goto('/flows');
  await page.getByRole('link', { name: 'Network devices' }).click();
  await page.getByRole('heading', { name: 'Network devices' }).waitFor();
  await page.waitForLoadState('networkidle');
  // What a page has counted is known when it is left.
  await page.getByRole('link', { name: 'Discovery flows' }).first().click();
  await page.getByRole('heading', { name: 'Discovery flows' }).waitFor();
  await page.waitForLoadState('networkidle');
  // Somebody turns to another tab: the last chance to tell.
  await page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  const until = Date.now() + 8_000;
  const has = (name) => told.some((vital) => vital.name === name);
  const WANTED = ['TTFB', 'FCP', 'page-shown', 'page-calls', 'page-renders'];
  while (!WANTED.every(has) && Date.now() < until) await page.waitForTimeout(100);

  assert.ok(WANTED.every(has), `told: ${told.map(({ name }) => name)}`);
  const rendered = told.find(({ name }) => name === 'page-renders').value;
  assert.ok(rendered > 0 && rendered < 200, `a page that shows a list rendered what shows data ${rendered} times`);
  for (const vital of told) {
    assert.deepEqual(Object.keys(vital).toSorted(), ['at', 'name', 'navigation_type', 'page', 'rating', 'value']);
    assert.ok(vital.value >= 0 && ['good', 'needs-improvement', 'poor'].includes(vital.rating));
    assert.doesNotMatch(vital.page, /[0-9a-f]{8}-/, 'an id of what was looked at');
  }
  await page.context().close();
});
