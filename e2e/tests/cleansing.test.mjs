import { AxeBuilder } from '@axe-core/playwright';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, newPage, signIn, waitForLive, watchErrors } from '../support/browser.mjs';
import { doubtfulCsv, serverName } from '../support/csv.mjs';
import { approve, importCsv, unique } from '../support/steps.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();
const COLUMNS = ['*Server name', 'IP addresses', '*Memory (In MB)', 'Environment'];

/** Imports a file with doubtful values, approves its columns, and ends on the page that shows them. */
async function openCleansing(page, { name, prefix = 'clean' }) {
  await signIn(page, ACCOUNTS.acmeAnalyst);
  const importId = await importCsv(page, { name, text: doubtfulCsv(20, prefix) });
  await page.getByRole('link', { name: 'Review field mappings' }).click();
  await approve(page, ...COLUMNS);
  await page.getByRole('link', { name: 'Next: data cleansing' }).click();
  await page.waitForURL(`**/imports/${importId}/cleansing`);
  await doubt(page, 'n/a in Environment').waitFor();
  return importId;
}

const doubt = (page, named) => page.getByLabel(`Select ${named}`, { exact: true });
const replacement = (page, named) => page.getByLabel(`Replacement of ${named}`, { exact: true });
const corrections = (page) => page.getByRole('region', { name: 'Corrections made' });

test('corrections appear in another browser, on the page and in the inventory, and so does their undoing', async () => {
  const page = await newPage(shared.browser, shared.url);
  const errors = watchErrors(page);
  const prefix = unique('clean');
  const importId = await openCleansing(page, { name: 'cleansing.csv', prefix });

  const watcher = await newPage(shared.browser, shared.url);
  await signIn(watcher, ACCOUNTS.acmeAdmin);
  const inventory = await watcher.context().newPage();
  await watcher.goto(`/imports/${importId}/cleansing`);
  await inventory.goto(`/inventory?import=${importId}&q=${serverName(0, prefix)}`);
  await doubt(watcher, 'n/a in Environment').waitFor();
  const shownAs = (text) => inventory.getByRole('cell', { name: text, exact: true });
  await shownAs('production').waitFor();
  for (const each of [page, watcher, inventory]) {
    await waitForLive(each);
    await each.evaluate(() => {
      window.sameDocument = true;
    });
  }

  await page.bringToFront();
  assert.equal(await replacement(page, 'production in Environment').inputValue(), 'Production');
  assert.equal(await replacement(page, 'n/a in Environment').getAttribute('placeholder'), 'no value');
  await doubt(page, 'production in Environment').check();
  await doubt(page, 'n/a in Environment').check();
  await page.getByRole('region', { name: 'Selected values' }).getByRole('button', { name: 'Correct 2 values' }).click();
  await page.getByText('2 values corrected in 3 rows.').waitFor();

  for (const each of [page, watcher]) {
    await doubt(each, 'n/a in Environment').waitFor({ state: 'detached', timeout: 5_000 });
    await doubt(each, 'production in Environment').waitFor({ state: 'detached', timeout: 5_000 });
    await corrections(each).getByRole('button', { name: 'Undo the correction of n/a in Environment' }).waitFor();
  }
  await corrections(page).getByText('You').first().waitFor();
  assert.equal(await corrections(watcher).getByText('You').count(), 0);
  await shownAs('Production').waitFor({ timeout: 5_000 });

  await page.getByRole('alert').getByRole('button', { name: 'Undo' }).click();
  for (const each of [page, watcher]) {
    await doubt(each, 'n/a in Environment').waitFor({ timeout: 5_000 });
    await doubt(each, 'production in Environment').waitFor({ timeout: 5_000 });
    await corrections(each).waitFor({ state: 'detached' });
  }
  await shownAs('production').waitFor({ timeout: 5_000 });
  for (const each of [page, watcher, inventory]) assert.equal(await each.evaluate(() => window.sameDocument), true);
  assert.deepEqual(errors, []);
  await watcher.context().close();
  await page.context().close();
});

test('values are corrected by keyboard alone, and taken back from the list', async () => {
  const page = await newPage(shared.browser, shared.url);
  await openCleansing(page, { name: 'cleansing-keys.csv' });

  await page.keyboard.press('/');
  await page.keyboard.type('memory');
  await doubt(page, 'n/a in Environment').waitFor({ state: 'detached' });
  await page.getByLabel('Search values and attributes').blur();
  await page.keyboard.press('j');
  await page.keyboard.press('e');
  const field = replacement(page, '16 GB in Memory (MB)');
  assert.equal(await field.inputValue(), '16384');
  await page.keyboard.type('8192');
  await page.keyboard.press('Enter');
  await page.getByText('1 value corrected in 1 row.').waitFor();
  await corrections(page).getByText('8192').waitFor();

  await page.getByRole('button', { name: 'Clear the search' }).or(page.getByRole('button', { name: 'Show all values' })).first().click();
  await corrections(page).getByLabel('Select the correction of 16 GB in *Memory (In MB)').check();
  await corrections(page).getByRole('button', { name: 'Undo 1 correction' }).click();
  await field.waitFor();
  await corrections(page).waitFor({ state: 'detached' });
  await page.context().close();
});

test('a correction that comes too late is refused, explained, and not shown as done', async () => {
  const page = await newPage(shared.browser, shared.url);
  await openCleansing(page, { name: 'cleansing-late.csv' });
  await page.route('**/corrections', (route) =>
    route.fulfill({
      status: 409,
      contentType: 'application/problem+json',
      body: JSON.stringify({ title: 'Conflict', status: 409, detail: 'No row shows “10.0.0.300” any more.' }),
    }),
  );
  await replacement(page, '10.0.0.300 in IP address').fill('10.0.0.30');
  await page.getByLabel('Correct 10.0.0.300 in IP address', { exact: true }).click();
  await page.getByText('No row shows “10.0.0.300” any more.').waitFor();
  await doubt(page, '10.0.0.300 in IP address').waitFor();
  assert.equal(await replacement(page, '10.0.0.300 in IP address').inputValue(), '10.0.0.30');
  assert.equal(await corrections(page).count(), 0);
  await page.context().close();
});

for (const [look, options] of [
  ['light', { colorScheme: 'light' }],
  ['dark', { colorScheme: 'dark' }],
  ['360 pixels wide', { viewport: { width: 360, height: 740 } }],
]) {
  test(`values, a selection and corrections are accessible (${look})`, async () => {
    const page = await newPage(shared.browser, shared.url, { ...options, reducedMotion: 'reduce' });
    await openCleansing(page, { name: 'cleansing-axe.csv' });
    await page.getByLabel('Correct production in Environment', { exact: true }).click();
    await page.getByText('1 value corrected in 2 rows.').waitFor();
    await page.getByRole('button', { name: 'Select all with a suggestion' }).click();
    await page.getByRole('region', { name: 'Selected values' }).waitFor();
    const { violations } = await new AxeBuilder({ page }).analyze();
    const found = violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id} at ${target}`));
    assert.deepEqual(found, []);
    const { width, scroll } = await page.evaluate(() => ({ width: innerWidth, scroll: document.documentElement.scrollWidth }));
    assert.ok(scroll <= width, `${scroll} of ${width} pixels`);
    await page.context().close();
  });
}
