import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newPage } from '../support/browser.mjs';
import { CLIENT_PAGES, OPEN_PAGES, OPERATOR_PAGES, open, signInAsAdmin, signInAsOperator } from '../support/pages.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();
const WIDTH = 360;

test(`no page scrolls sideways at ${WIDTH} pixels`, async () => {
  const page = await newPage(shared.browser, shared.url, { viewport: { width: WIDTH, height: 740 } });
  const tooWide = [];
  const check = async (target, shown = page) => {
    await open(shown, target);
    const width = await shown.evaluate(() => document.documentElement.scrollWidth);
    if (width > WIDTH) tooWide.push(`${target.name}: ${width}`);
  };
  for (const target of OPEN_PAGES) await check(target);
  await signInAsAdmin(page);
  for (const target of CLIENT_PAGES) await check(target);
  const operator = await newPage(shared.browser, shared.url, { viewport: { width: WIDTH, height: 740 } });
  await signInAsOperator(operator);
  for (const target of OPERATOR_PAGES) await check(target, operator);
  // Not all tabs fit: the one that is shown is to be seen.
  const tab = await operator.getByRole('link', { name: 'Cache' }).boundingBox();
  assert.ok(tab.x >= 0 && tab.x + tab.width <= WIDTH, `the tab of the page is at ${tab.x}`);
  await operator.context().close();
  assert.deepEqual(tooWide, []);

  await open(page, { path: '/overview' });
  await page.getByRole('button', { name: 'Open the navigation' }).click();
  await page.getByRole('link', { name: 'Discovery flows' }).click();
  await page.getByRole('heading', { name: 'Discovery flows' }).waitFor();
  await page.context().close();
});

test('what is announced covers no part of the bar of a selection', async () => {
  for (const width of [WIDTH, 1280]) {
    const page = await newPage(shared.browser, shared.url, { viewport: { width, height: 800 } });
    await signInAsAdmin(page);
    await page.goto('/mappings');
    await page.getByLabel('Select *Server name').check();
    const bar = page.getByRole('region', { name: 'Selected mappings' });
    await bar.getByRole('button', { name: 'Approve' }).click();
    await page.getByText(/mappings? approved\./).first().waitFor();
    await page.getByLabel('Select IP addresses').check();
    await bar.getByText('1 selected').waitFor();
    // Both come up from below.
    await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState === 'finished'));
    const announced = await page.locator('.mantine-Notification-root').boundingBox();
    const { y } = await bar.boundingBox();
    assert.ok(announced.y + announced.height <= y, `at ${width} pixels it ends at ${announced.y + announced.height}, the bar begins at ${y}`);
    await page.context().close();
  }
});
