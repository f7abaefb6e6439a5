import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, newPage, signIn, waitForLive, watchErrors } from '../support/browser.mjs';
import { csvFile, serverName, wideCsv } from '../support/csv.mjs';
import { figure, importCsv, mappingRow, unique } from '../support/steps.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();
const ROWS = 200;
const PREFIX = unique('review');

test('an analyst imports a CSV file, reviews its mappings and finds its assets', async () => {
  const page = await newPage(shared.browser, shared.url);
  const errors = watchErrors(page);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  await waitForLive(page);

  await importCsv(page, { name: 'review.csv', rows: ROWS, prefix: PREFIX });
  await page.getByText(`${ROWS} of ${ROWS} rows`).waitFor();
  await page.getByText('Azure Migrate').waitFor();

  await page.getByRole('link', { name: 'Review field mappings' }).click();
  await page.getByLabel('Select *Server name').check();
  await page.getByLabel('Select IP addresses').check();
  await page.getByRole('region', { name: 'Selected mappings' }).getByRole('button', { name: 'Approve' }).click();
  await page.getByText('2 mappings approved.').waitFor();
  assert.equal(await figure(page, 'approved'), 2);
  await mappingRow(page, '*Server name').getByText('Approved').waitFor();

  await page.getByRole('link', { name: 'Asset inventory' }).click();
  await page.getByLabel('Search the assets').fill(serverName(6, PREFIX));
  await page.getByRole('rowheader', { name: serverName(6, PREFIX) }).waitFor();
  await page.getByText('1 asset found').waitFor();
  await page.getByRole('cell', { name: '10.7.0.7', exact: true }).waitFor();
  assert.deepEqual(errors, []);
  await page.context().close();
});

test('mappings are reviewed by keyboard alone', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  await importCsv(page, { name: 'keyboard.csv', rows: 20, prefix: 'key' });
  await page.getByRole('link', { name: 'Review field mappings' }).click();
  await page.getByLabel('Select *Server name').waitFor();

  await page.keyboard.press('j');
  await page.keyboard.press('x');
  await page.keyboard.press('j');
  await page.keyboard.press('x');
  await page.getByText('2 selected').waitFor();
  await page.keyboard.press('r');
  await page.getByText('2 mappings rejected.').waitFor();
  assert.equal(await figure(page, 'rejected'), 2);

  await page.keyboard.press('k');
  await page.keyboard.press('a');
  await page.getByText('1 mapping approved.').waitFor();
  assert.equal(await figure(page, 'approved'), 1);
  await page.context().close();
});

test('two columns for one target are refused, named, and taken back on screen', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  await importCsv(page, { name: 'conflict.csv', rows: 20, prefix: 'con' });
  await page.getByRole('link', { name: 'Review field mappings' }).click();

  const target = page.getByRole('combobox', { name: 'Target of *Server name' }).or(page.getByLabel('Target of *Server name'));
  const label = await target.first().innerText();
  const other = page.getByRole('combobox', { name: 'Target of OS version' }).or(page.getByLabel('Target of OS version'));
  await other.first().click();
  await other.first().fill(label);
  await page.getByRole('option').filter({ has: page.getByText(label, { exact: true }) }).first().click();
  await mappingRow(page, 'OS version').getByText(/chosen by/).waitFor();

  await page.getByLabel('Select *Server name').check();
  await page.getByLabel('Select OS version').check();
  await page.getByRole('region', { name: 'Selected mappings' }).getByRole('button', { name: 'Approve' }).click();
  const conflict = page.getByRole('alert').filter({ hasText: 'Nothing was changed.' });
  await conflict.waitFor();
  assert.match(await conflict.innerText(), /Server name/);
  assert.equal(await figure(page, 'approved'), 0);
  await mappingRow(page, '*Server name').getByText('To review').waitFor();
  await page.context().close();
});

test('a file that is no inventory is explained', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  await page.goto('/imports');
  const broken = '*Server name,IP addresses\r\nsrv-1,10.0.0.1\r\n"srv-2,10.0.0.2\r\n';
  await page.locator('input[type="file"]').setInputFiles(csvFile('broken.csv', broken));
  await page.getByText(/The file (could not be|was not) imported/).waitFor({ timeout: 60_000 });
  await page.context().close();
});

test('200 mappings are approved at once, here and in front of somebody else', async () => {
  const page = await newPage(shared.browser, shared.url);
  const errors = watchErrors(page);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  const importId = await importCsv(page, { name: 'wide.csv', text: wideCsv(200) });
  const watcher = await newPage(shared.browser, shared.url);
  await signIn(watcher, ACCOUNTS.acmeAdmin);
  for (const each of [watcher, page]) {
    await each.goto(`/imports/${importId}/mappings`);
    await each.getByLabel('Select *Server name').waitFor();
    await waitForLive(each);
  }
  const bar = page.getByRole('region', { name: 'Selected mappings' });
  await page.bringToFront();
  await page.getByLabel('Select all shown mappings').check();
  await page.getByText('200 selected').waitFor();
  // Most columns have no target, so the server refuses, and what was shown as done is taken back as a whole.
  await bar.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('Nothing was changed.').waitFor();
  assert.equal(await figure(page, 'approved'), 0);

  await bar.getByRole('button', { name: /^Keep \d+ as is/ }).click();
  await page.getByText(/^\d+ columns kept as they are\.$/).waitFor();
  await page.getByText('200 selected').waitFor();
  assert.equal(await figure(page, 'approved'), 0);

  await bar.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('200 mappings approved.').waitFor();
  assert.equal(await figure(page, 'approved'), 200);
  await mappingRow(watcher, 'Site note 194').getByText('Approved').waitFor();
  assert.equal(await figure(watcher, 'approved'), 200);

  await page.goto(`/inventory?import=${importId}`);
  await page.getByRole('columnheader', { name: 'Operating system' }).waitFor();
  assert.equal(await page.getByRole('columnheader', { name: 'Site note 194' }).count(), 0);
  await page.getByRole('button', { name: 'Columns' }).click();
  await page.getByRole('menuitemcheckbox', { name: /^Columns kept as they are \(\d+\)$/ }).click();
  await page.getByRole('columnheader', { name: 'Site note 194' }).waitFor();
  assert.deepEqual(errors, []);
  await watcher.context().close();
  await page.context().close();
});
