import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, newPage, signIn } from '../support/browser.mjs';
import { signInAsOperator } from '../support/pages.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();
const ROUTE = '/api/v1/context/me';

async function cachePage() {
  const page = await newPage(shared.browser, shared.url);
  await signInAsOperator(page);
  await page.goto('/admin/cache');
  await page.getByRole('heading', { name: 'The last hour' }).waitFor();
  return page;
}

const changes = (page) => page.getByRole('region', { name: 'Changes' });

test('how the cache does is seen, and that nothing was incorrect', async () => {
  const analyst = await newPage(shared.browser, shared.url);
  await signIn(analyst, ACCOUNTS.acmeAnalyst);
  for (let time = 0; time < 3; time += 1) await analyst.request.get(ROUTE);
  const page = await cachePage();
  await page.getByText(/^No answer was found incorrect/).waitFor();
  await page.getByText('Code has declared everything that it changed.').waitFor();
  // Statistics are written every ten seconds, and the page looks as often.
  await page.getByRole('row', { name: /http:response/ }).waitFor({ timeout: 30_000 });
  const chart = await page.getByRole('img', { name: /reads answered from the cache/ }).getAttribute('aria-label');
  assert.doesNotMatch(chart, /^0 reads/);
  await page.context().close();
  await analyst.context().close();
});

test('a lifetime is changed while everything runs, with its reason, and taken back', async () => {
  const page = await cachePage();
  await page.getByText('Everything is as released.').waitFor();
  await page.getByRole('button', { name: /^Show all \d+$/ }).click();
  await page.getByRole('button', { name: `Change how ${ROUTE} is cached` }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Fresh for').fill('30');
  await dialog.getByRole('button', { name: 'Put in force' }).click();
  await dialog.getByText('Say why, for those who look at it later').waitFor();
  await dialog.getByLabel('Why').fill('Contexts move a lot this week');
  await dialog.getByRole('button', { name: 'Put in force' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await changes(page).getByText(`${ROUTE}: fresh for 30 s`).waitFor();
  await changes(page).getByText('Contexts move a lot this week').waitFor();

  await page.getByRole('button', { name: 'Take the last change back' }).click();
  await page.getByRole('button', { name: 'Take it back' }).click();
  await changes(page).getByText('Back to version 0').waitFor();
  await page.getByText('Everything is as released.').waitFor();
  await page.context().close();
});

test('the cache is switched off for everybody, and on again', async () => {
  const analyst = await newPage(shared.browser, shared.url);
  await signIn(analyst, ACCOUNTS.acmeAnalyst);
  const page = await cachePage();
  const throwIt = async (action) => {
    await page.getByRole('switch', { name: /^The cache/ }).click();
    await page.getByRole('dialog').getByLabel('Why').fill('To see what it saves');
    await page.getByRole('dialog').getByRole('button', { name: action }).click();
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
  };
  const answer = async () => {
    await analyst.request.get(ROUTE);
    return (await analyst.request.get(ROUTE)).headers()['x-cache'];
  };
  await throwIt('Switch off');
  await changes(page).getByText('The cache: off').waitFor();
  assert.notEqual(await answer(), 'HIT');
  await throwIt('Switch on');
  await changes(page).getByText('The cache: on').waitFor();
  assert.equal(await answer(), 'HIT');
  await page.context().close();
  await analyst.context().close();
});
