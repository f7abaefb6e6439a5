import { AxeBuilder } from '@axe-core/playwright';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newPage } from '../support/browser.mjs';
import { CLIENT_PAGES, OPEN_PAGES, OPERATOR_PAGES, open, signInAsAdmin, signInAsOperator } from '../support/pages.mjs';
import { suite } from '../support/suite.mjs';

const shared = suite();

/** What axe finds, as lines that can be acted on. */
async function violations(page, where) {
  const { violations: found } = await new AxeBuilder({ page }).analyze();
  return found.flatMap(({ id, nodes }) => nodes.map(({ target, any }) => `${where}: ${id} at ${target} (${any[0]?.message ?? ''})`));
}

for (const colorScheme of ['light', 'dark']) {
  test(`no page has an accessibility violation in ${colorScheme} colours`, async () => {
    const page = await newPage(shared.browser, shared.url, { colorScheme, reducedMotion: 'reduce' });
    const found = [];
    const check = async (target) => {
      await open(page, target);
      found.push(...(await violations(page, target.name)));
    };
    for (const target of OPEN_PAGES) await check(target);
    await signInAsAdmin(page);
    for (const target of CLIENT_PAGES) await check(target);

    await open(page, { path: '/admin/engagements' });
    await page.getByRole('button', { name: 'New engagement' }).click();
    await page.getByRole('dialog').waitFor();
    found.push(...(await violations(page, 'engagement dialog')));

    const operator = await newPage(shared.browser, shared.url, { colorScheme, reducedMotion: 'reduce' });
    await signInAsOperator(operator);
    for (const target of OPERATOR_PAGES) {
      await open(operator, target);
      found.push(...(await violations(operator, target.name)));
    }
    await operator.getByRole('button', { name: /^Show all \d+$/ }).click();
    await operator.getByRole('button', { name: 'Change how user:context is cached' }).click();
    await operator.getByRole('dialog').waitFor();
    found.push(...(await violations(operator, 'lifetime dialog')));
    await operator.context().close();

    assert.deepEqual(found, []);
    await page.context().close();
  });
}
