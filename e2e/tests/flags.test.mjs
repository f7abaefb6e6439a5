import { AxeBuilder } from '@axe-core/playwright';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, newPage, signIn, waitForLive } from '../support/browser.mjs';
import { signInAsOperator } from '../support/pages.mjs';
import { readsOf } from '../support/steps.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();

/** A page for which flags are what the test says; what else it asks for is the real server's. */
async function pageWithFlags(values) {
  const page = await newPage(shared.browser, shared.url);
  const asked = [];
  let tell;
  let position;
  await page.route('**/ofrep/v1/evaluate/flags', (route) => {
    asked.push(route.request().postDataJSON().context);
    const flags = Object.entries(values).map(([key, value]) => ({ key, value, reason: 'STATIC', variant: String(value) }));
    return route.fulfill({ json: { flags }, headers: { ETag: `"${JSON.stringify(values).length}"` } });
  });
  await page.routeWebSocket(/\/api\/v1\/events/, (route) => {
    route.connectToServer().onMessage((message) => {
      position = JSON.parse(message).position ?? position;
      route.send(message);
    });
    tell = () =>
      route.send(JSON.stringify({ type: 'cache_invalidation', position, groups: [], data: { entity: 'flags' } }));
  });
  return { page, asked, tell: () => tell() };
}

test('a switch that is thrown reaches an open page within a second', async () => {
  const values = { USE_CUSTOM_API_CACHE: true, ENABLE_DEVTOOLS: false };
  const { page, asked, tell } = await pageWithFlags(values);
  await signIn(page, ACCOUNTS.acmeAnalyst);
  await waitForLive(page);
  await page.waitForFunction(() => performance.getEntriesByName(`${location.origin}/ofrep/v1/evaluate/flags`).length > 0);
  assert.match(asked[0].targetingKey, /^[0-9a-f-]{36}$/);

  values.USE_CUSTOM_API_CACHE = false;
  const thrown = Date.now();
  tell();
  // Without the client's cache there is no live connection either: pages ask whenever they are shown.
  await page.getByRole('button', { name: /^Connection: Not live/ }).waitFor();
  assert.ok(Date.now() - thrown < 1_000, `it took ${Date.now() - thrown} ms`);
  const reads = [];
  page.on('request', (request) => reads.push(request.url().endsWith('/batch') ? 'batch' : readsOf(request)[0]));
  for (let time = 0; time < 2; time += 1) {
    await page.getByRole('link', { name: 'Discovery flows' }).click();
    await page.getByRole('heading', { name: 'Discovery flows' }).waitFor();
    await page.waitForLoadState('networkidle');
    await page.getByRole('link', { name: 'Data import' }).click();
    await page.getByRole('heading', { name: 'Data import' }).waitFor();
    await page.waitForLoadState('networkidle');
  }
  assert.ok(reads.filter((path) => path === '/discovery/flows').length >= 2, `asked: ${reads}`);
  assert.ok(!reads.includes('batch'));
  await page.context().close();
});

test('developers see which query holds which groups, where the flag lets them', async () => {
  const { page } = await pageWithFlags({ ENABLE_DEVTOOLS: true });
  await signIn(page, ACCOUNTS.acmeAnalyst);
  await page.goto('/flows');
  await page.getByRole('heading', { name: 'Discovery flows' }).waitFor();
  await waitForLive(page);
  await page.waitForLoadState('networkidle');
  await page.keyboard.press('Control+Alt+KeyU');
  const panel = page.getByRole('complementary', { name: 'Unstale devtools' });
  await panel.getByRole('row', { name: /discovery \/ flows/ }).waitFor();
  const { violations } = await new AxeBuilder({ page }).include('aside').analyze();
  assert.deepEqual(violations.map(({ id }) => id), []);
  await panel.getByRole('button', { name: 'Close' }).click();
  await panel.waitFor({ state: 'detached' });
  await page.context().close();
});

test('a switch that an administrator throws reaches the open pages of others within a second', async () => {
  const analyst = await newPage(shared.browser, shared.url);
  await signIn(analyst, ACCOUNTS.acmeAnalyst);
  await waitForLive(analyst);
  const operator = await newPage(shared.browser, shared.url);
  await signInAsOperator(operator);
  await operator.goto('/admin/flags');
  const row = operator.getByRole('row', { name: /USE_CUSTOM_API_CACHE/ });
  await row.getByText('On', { exact: true }).waitFor();
  const notLive = analyst.getByRole('button', { name: /^Connection: Not live/ });

  await row.getByRole('button', { name: 'Switch off USE_CUSTOM_API_CACHE' }).click();
  const answered = operator.waitForResponse((response) => response.request().method() === 'PUT');
  await operator.getByRole('button', { name: 'Switch it off' }).click();
  await answered;
  const thrown = Date.now();
  await notLive.waitFor();
  assert.ok(Date.now() - thrown < 1_000, `it took ${Date.now() - thrown} ms`);
  const bypassed = await analyst.request.get('/api/v1/context/me');
  assert.equal(bypassed.headers()['x-cache'], 'BYPASS');
  await row.getByText('Off for everybody').waitFor();

  await row.getByRole('button', { name: 'Put USE_CUSTOM_API_CACHE back in force' }).click();
  await row.getByText('On', { exact: true }).waitFor();
  // No live connection told that page: it hears of it when it next asks.
  await analyst.reload();
  await waitForLive(analyst);
  await operator.context().close();
  await analyst.context().close();
});

test('a switch reaches an open page in the client that it changed to, and after a restart of the server', async () => {
  const page = await newPage(shared.browser, shared.url);
  await signIn(page, ACCOUNTS.operator, { choose: false });
  await page.goto('/choose');
  await page.getByRole('region', { name: 'Client', exact: true }).getByRole('button', { name: /globex/i }).click();
  await page.getByRole('button', { name: /^Client: Globex/i }).waitFor();
  await waitForLive(page);
  await page.waitForLoadState('networkidle');
  const operator = await newPage(shared.browser, shared.url);
  await signInAsOperator(operator);
  const put = (rule) =>
    operator.evaluate(
      ([path, body]) =>
        fetch(path, { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body }).then(({ status }) => status),
      ['/api/v1/admin/cache/flags/USE_CUSTOM_API_CACHE', JSON.stringify(rule)],
    );
  const notLive = page.getByRole('button', { name: /^Connection: Not live/ });
  for (const happens of [async () => {}, async () => {
    await shared.server.end();
    await shared.server.begin();
  }]) {
    await happens();
    await waitForLive(page);
    await page.waitForLoadState('networkidle');
    assert.equal(await put({ killed: true, percentage: 100 }), 200);
    const thrown = Date.now();
    await notLive.waitFor();
    assert.ok(Date.now() - thrown < 1_000, `it took ${Date.now() - thrown} ms`);
    assert.equal(await put({ percentage: 100 }), 200);
    // No live connection told that page: it hears of it when it next asks.
    await page.reload();
    await waitForLive(page);
    await page.waitForLoadState('networkidle');
  }
  await operator.context().close();
  await page.context().close();
});

test('a flag is given to a share and to named users, and tells who changed it', async () => {
  const operator = await newPage(shared.browser, shared.url);
  await signInAsOperator(operator);
  await operator.goto('/admin/flags');
  const row = operator.getByRole('row', { name: /ENABLE_DEVTOOLS/ });
  await row.getByRole('button', { name: 'Edit ENABLE_DEVTOOLS' }).click();
  const dialog = operator.getByRole('dialog');
  await dialog.getByText('It was never changed').waitFor();
  await dialog.getByLabel('Share of users').fill('10');
  await dialog.getByLabel('On for these users').click();
  await operator.getByRole('option', { name: new RegExp(ACCOUNTS.acmeAdmin) }).click();
  await operator.keyboard.press('Escape');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await row.getByText('On for 10 % of users').waitFor();
  await row.getByText('On for 1 named user').waitFor();
  await row.getByRole('button', { name: 'Edit ENABLE_DEVTOOLS' }).click();
  await dialog.getByRole('region', { name: 'Changes' }).getByText('On for 10 % of users · On for 1 named user').waitFor();
  await operator.context().close();
});
