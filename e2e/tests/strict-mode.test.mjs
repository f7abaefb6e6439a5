import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNTS, liveSockets, newPage, signIn, waitForLive, watchErrors, watchSockets } from '../support/browser.mjs';
import { buildForDevelopment, servePages } from '../support/development.mjs';
import { readsOf } from '../support/steps.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();

test('under StrictMode, where everything mounts twice, each thing is asked for once over one socket', async () => {
  const development = buildForDevelopment();
  const pages = await servePages(development.folder, shared.url);
  try {
    const page = await newPage(shared.browser, pages.url);
    const errors = watchErrors(page);
    await watchSockets(page.context());
    await signIn(page, ACCOUNTS.acmeAnalyst);
    await waitForLive(page);

    const reads = [];
    page.on('request', (request) => reads.push(...readsOf(request)));
    await page.goto('/flows');
    await page.getByRole('heading', { name: 'Discovery flows' }).waitFor();
    await waitForLive(page);
    await page.waitForLoadState('networkidle');
    assert.equal((await liveSockets([page])).length, 1);
    const counts = Object.groupBy(reads, (path) => path);
    assert.equal(counts['/discovery/flows']?.length, 1, `asked: ${reads}`);
    assert.equal(counts['/context-establishment/clients']?.length, 1, `asked: ${reads}`);
    assert.deepEqual(errors, []);
    await page.context().close();
  } finally {
    pages.stop();
    await development.remove();
  }
});
