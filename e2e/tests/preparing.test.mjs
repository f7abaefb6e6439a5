import { AxeBuilder } from '@axe-core/playwright';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, newPage, signIn, waitForLive } from '../support/browser.mjs';
import { readsOf, signOut } from '../support/steps.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();

const entry = (page, name) => page.getByRole('navigation').getByRole('link', { name, exact: true }).first();
/** Headings of pages, those behind the one on screen in brackets. */
const headings = (page) =>
  page.evaluate(() => [...document.querySelectorAll('main h1')].map((each) => (each.checkVisibility() ? each.textContent : `(${each.textContent})`)));
const behind = (page, name) =>
  page.waitForFunction((text) => [...document.querySelectorAll('main h1')].some((each) => !each.checkVisibility() && each.textContent === text), name);
const nothingBehind = (page) => page.waitForFunction(() => [...document.querySelectorAll('main h1')].every((each) => each.checkVisibility()));

async function onOverview() {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAdmin);
  await page.locator('main a[href^="/flows/"]').first().waitFor();
  await waitForLive(page);
  await page.waitForLoadState('networkidle');
  return page;
}

test('the page of what one points at is prepared behind the one on screen, and shown as it is', async () => {
  const page = await onOverview();
  const title = await page.title();
  const [overview] = await headings(page);
  await entry(page, 'Discovery flows').hover();
  await behind(page, 'Discovery flows');
  assert.deepEqual(await headings(page), [overview, '(Discovery flows)']);
  assert.equal(await page.title(), title, 'a page that is not shown has no say in the title');
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id }) => id), []);

  await page.evaluate(() => {
    window.prepared = [...document.querySelectorAll('main tbody tr')].at(0);
  });
  const asked = [];
  page.on('request', (request) => asked.push(...readsOf(request)));
  await entry(page, 'Discovery flows').click();
  await page.getByRole('heading', { level: 1, name: 'Discovery flows' }).waitFor();
  assert.equal(await page.evaluate(() => window.prepared === document.querySelector('main tbody tr')), true, 'the page that was prepared');
  assert.deepEqual(await headings(page), ['Discovery flows']);
  assert.match(await page.title(), /^Discovery flows/);
  assert.equal(await entry(page, 'Discovery flows').evaluate((link) => link === document.activeElement), true, 'who pressed it is still there');
  await page.waitForLoadState('networkidle');
  assert.deepEqual(asked.filter((path) => path.includes('flows')), []);

  // Filters and the like work as on any page.
  await page.getByRole('combobox', { name: 'Filter by status' }).click();
  await page.getByRole('option', { name: 'Completed' }).click();
  await page.waitForURL(/status=completed/);
  await page.context().close();
});

test('what changes while a page is behind is right when it is shown', async () => {
  const page = await onOverview();
  await entry(page, 'Discovery flows').hover();
  await behind(page, 'Discovery flows');
  const [flow] = await page.evaluate(() =>
    [...document.querySelectorAll('main td a[href^="/flows/"]')].map((link) => ({ id: link.getAttribute('href').slice(7), name: link.textContent })),
  );
  // What is on screen at any time, from now on.
  await page.evaluate((was) => {
    window.seen = [];
    const look = () => {
      const shown = [...document.querySelectorAll('main td a[href^="/flows/"]')].filter((link) => link.checkVisibility()).map((link) => link.textContent);
      if (shown.includes(was)) window.seen.push(was);
      requestAnimationFrame(look);
    };
    look();
  }, flow.name);
  const changed = page.waitForFunction(
    ({ id, was }) => [...document.querySelectorAll(`main a[href="/flows/${id}"]`)].every((link) => !link.checkVisibility() || link.textContent !== was),
    { id: flow.id, was: flow.name },
  );
  const answer = await page.request.patch(`/api/v1/discovery/flows/${flow.id}`, {
    data: { name: `${flow.name}, renamed` },
    headers: { Origin: shared.url },
  });
  assert.equal(answer.status(), 200);
  await changed;
  await entry(page, 'Discovery flows').click();
  await page.getByRole('link', { name: `${flow.name}, renamed`, exact: true }).waitFor();
  assert.deepEqual(await page.evaluate(() => window.seen), []);
  await page.context().close();
});

test('tabs of the administration and pages of the inventory are prepared as well', async () => {
  const page = await onOverview();
  await entry(page, 'Administration').hover();
  await behind(page, 'Administration');
  await entry(page, 'Administration').click();
  await page.getByRole('region', { name: 'Users' }).waitFor();
  const tab = page.getByRole('navigation', { name: 'Administration' }).getByRole('link', { name: 'Engagements' });
  await tab.hover();
  await page.locator('main [aria-label="Engagements"] tbody tr').first().waitFor({ state: 'attached' });
  assert.equal(await page.locator('main [aria-label="Engagements"]').isVisible(), false);
  await tab.click();
  await page.getByRole('region', { name: 'Engagements' }).waitFor();
  assert.equal(await tab.evaluate((link) => link === document.activeElement), true, 'the tabs stay while they change');
  await page.context().close();
});

test('of an engagement that is about to be chosen the overview is prepared', async () => {
  const page = await onOverview();
  await page.goto('/choose');
  const other = page.getByRole('region', { name: /^Engagement/ }).locator('button[data-current="false"]').first();
  const name = await other.locator('p').first().innerText();
  await waitForLive(page);
  // A document's first move is from nowhere.
  await page.mouse.move(5, 5);
  await other.hover();
  await behind(page, name);
  await other.click();
  await page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
  assert.deepEqual(await headings(page), [name]);
  assert.equal(await page.getByRole('button', { name: /^Engagement: / }).getAttribute('aria-label'), `Engagement: ${name}`);
  await page.context().close();
});

test('nothing that was prepared outlives the choice or the session that it was for', async () => {
  const page = await onOverview();
  await entry(page, 'Data import').hover();
  await behind(page, 'Data import');
  await page.getByRole('button', { name: /^Engagement: / }).click();
  const others = page.getByRole('menuitem').and(page.locator(':not([aria-current="true"])'));
  await others.first().click();
  await nothingBehind(page);

  await entry(page, 'Data import').hover();
  await behind(page, 'Data import');
  await signOut(page);
  await page.getByLabel('E-mail').waitFor();
  assert.equal(await page.locator('main h1', { hasText: 'Data import' }).count(), 0);
  await page.context().close();
});

test('the keyboard prepares what it is on; a finger nothing, since it presses what it touches', async () => {
  const page = await onOverview();
  await entry(page, 'Data import').focus();
  await behind(page, 'Data import');
  await page.context().close();

  const touched = await newPage(shared.browser, shared.url, { hasTouch: true, isMobile: true });
  await signIn(touched, ACCOUNTS.acmeAdmin);
  await touched.locator('main a[href^="/flows/"]').first().waitFor();
  await entry(touched, 'Data import').focus();
  await touched.waitForTimeout(500);
  assert.equal((await headings(touched)).length, 1);
  await touched.context().close();
});
