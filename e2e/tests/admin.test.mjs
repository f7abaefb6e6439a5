import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, newPage, PASSWORD, signIn, waitForLive } from '../support/browser.mjs';
import { unique } from '../support/steps.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();

test('a new engagement appears in the list, and in the session of somebody else', async () => {
  const admin = await newPage(shared.browser, shared.url);
  await signIn(admin, ACCOUNTS.acmeAdmin);
  const analyst = await newPage(shared.browser, shared.url);
  await signIn(analyst, ACCOUNTS.acmeAnalyst);
  await analyst.goto('/choose');
  await analyst.getByRole('heading', { name: /^Engagement/ }).waitFor();
  await waitForLive(analyst);

  const name = 'Harbour systems';
  await admin.goto('/admin/engagements');
  await admin.getByRole('button', { name: 'New engagement' }).click();
  const dialog = admin.getByRole('dialog');
  await dialog.getByLabel('Name').fill(name);
  await dialog.getByLabel('Starts on').fill('2027-01-04');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await admin.getByRole('row', { name: new RegExp(name) }).waitFor();
  await analyst.getByRole('button', { name: new RegExp(name) }).waitFor({ timeout: 5_000 });

  await admin.getByRole('button', { name: `Delete ${name}` }).click();
  await admin.getByRole('button', { name: 'Delete the engagement' }).click();
  await admin.getByRole('row', { name: new RegExp(name) }).waitFor({ state: 'detached' });
  await analyst.getByRole('button', { name: new RegExp(name) }).waitFor({ state: 'detached', timeout: 5_000 });
  await analyst.context().close();
  await admin.context().close();
});

test('an engagement that still has flows asks before everything in it goes', async () => {
  const admin = await newPage(shared.browser, shared.url);
  await signIn(admin, ACCOUNTS.acmeAdmin);
  const name = 'Short-lived';
  await admin.goto('/admin/engagements');
  await admin.getByRole('button', { name: 'New engagement' }).click();
  await admin.getByRole('dialog').getByLabel('Name').fill(name);
  await admin.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await admin.getByRole('row', { name: new RegExp(name) }).waitFor();

  await admin.goto('/choose');
  await admin.getByRole('button', { name: new RegExp(name) }).click();
  await admin.waitForURL(/\/overview$/);
  await admin.getByRole('heading', { name, level: 1 }).waitFor();
  await admin.goto('/flows');
  await admin.getByRole('button', { name: 'New flow' }).first().click();
  await admin.getByRole('dialog').getByLabel('Name').fill('Its only flow');
  await admin.getByRole('button', { name: 'Create the flow' }).click();
  await admin.getByRole('heading', { name: 'Its only flow' }).waitFor();

  await admin.goto('/admin/engagements');
  await admin.getByRole('button', { name: `Delete ${name}` }).click();
  await admin.getByRole('button', { name: 'Delete the engagement' }).click();
  await admin.getByRole('button', { name: 'Delete everything' }).click();
  await admin.getByRole('row', { name: new RegExp(name) }).waitFor({ state: 'detached' });
  await admin.context().close();
});

test('a person asks for access, is approved, and gets in', async () => {
  const email = `${unique('newcomer')}@acme.test`;
  const name = unique('Noor Comer');
  const visitor = await newPage(shared.browser, shared.url);
  await visitor.goto('/request-access');
  await visitor.getByLabel('Name', { exact: true }).fill(name);
  await visitor.getByLabel('E-mail').fill(email);
  await visitor.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await visitor.getByRole('button', { name: 'Send the request' }).click();
  await visitor.getByText('Your request was sent').waitFor();

  const operator = await newPage(shared.browser, shared.url);
  await signIn(operator, ACCOUNTS.operator, { choose: false });
  await operator.goto('/admin/approvals');
  await operator.getByRole('button', { name: `Approve ${name}` }).click();
  const dialog = operator.getByRole('dialog');
  await dialog.getByLabel('Client').first().click();
  await operator.getByRole('option').first().click();
  await dialog.getByRole('button', { name: 'Approve', exact: true }).click();
  await dialog.waitFor({ state: 'hidden' });

  await signIn(visitor, email);
  assert.match(visitor.url(), /\/overview$/);
  await operator.context().close();
  await visitor.context().close();
});

test('a new role takes effect on the open page of its user', async () => {
  const analyst = await newPage(shared.browser, shared.url);
  await signIn(analyst, ACCOUNTS.acmeAnalyst);
  await waitForLive(analyst);
  const administration = analyst.getByRole('link', { name: 'Administration' });
  assert.equal(await administration.count(), 0);

  const admin = await newPage(shared.browser, shared.url);
  await signIn(admin, ACCOUNTS.acmeAdmin);
  await admin.goto('/admin/users');
  const setRole = async (role) => {
    const row = admin.getByRole('row', { name: new RegExp(ACCOUNTS.acmeAnalyst) });
    await row.getByRole('button', { name: /^Edit access/ }).click();
    await admin.getByRole('dialog').getByLabel(/^Role for Acme/i).first().click();
    await admin.getByRole('option', { name: role }).click();
    await row.getByText(new RegExp(`Acme.*${role}`)).waitFor();
    await admin.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
  };
  await setRole('Client admin');
  await administration.waitFor({ timeout: 5_000 });
  await setRole('Analyst');
  await administration.waitFor({ state: 'detached', timeout: 5_000 });
  await admin.context().close();
  await analyst.context().close();
});
