/**
 * The journey: sign-in, choice of the context, flows, import, review and approval, inventory, administration; then all
 * of it once more. In between a colleague changes what is on screen, or what was and will be again.
 */
import { azureMigrateCsv, csvFile, serverName } from '../support/csv.mjs';
import { PASSWORD } from '../support/browser.mjs';

const IMPORT_ROWS = 300;
const COLUMNS_APPROVED = ['*Server name', 'IP addresses', '*OS name', '*Cores'];
const COLUMN_OF_COLLEAGUE = 'OS version';

export const ACCOUNT = 'admin@meridian.test';


/**
 * `tools`: the page, its meter, the colleague's `call`, the truth. Returns what each step took.
 * `isAlone`: no colleague writes anything. `pace`: from pointing at something to pressing it (`dwellMs`), and from the acknowledgement of what a colleague wrote
 * to looking for it on screen (`heardWithinMs`).
 * `secondRound`: how the second time begins: in the `same session`, after a `reload`, or with a `sign-in` anew.
 */
export async function travel(tools, { secondRound, pace, label, isAlone = false }) {
  const { page } = tools;
  const walk = walker(tools, pace, isAlone);
  await walk.step('sign-in page', { heading: '.', selector: 'input[type="password"]' }, () => page.goto('/sign-in', { waitUntil: 'commit' }), {
    isLoad: true,
  });
  for (const round of [1, 2]) {
    walk.round = round;
    if (round === 2) await begin[secondRound](walk, tools);
    if (round === 1 || secondRound === 'sign-in') await signIn(walk, page, round);
    await choose(walk, page, round);
    await tour(walk, tools, `${label}-${round}`);
  }
  return walk.steps;
}

const begin = {
  'same session': async () => {},
  reload: async (walk, { page }) => {
    await walk.step('coming back', { path: '/overview', selector: 'main a[href^="/flows/"]' }, () => page.reload({ waitUntil: 'commit' }), { isLoad: true });
  },
  'sign-in': async (walk, { page }) => {
    await walk.step('sign-out', { path: '/sign-in', selector: 'input[type="password"]' }, async () => {
      await page.getByRole('button', { name: /^Account of/ }).click();
      await page.getByRole('menuitem', { name: 'Sign out' }).click();
    });
  },
};

async function signIn(walk, page, round) {
  await page.getByLabel('E-mail').fill(ACCOUNT);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  const ready = round === 1 ? { path: '/choose', selector: 'section button' } : { path: '/overview', selector: 'main a[href^="/flows/"]' };
  await walk.step('sign-in', ready, () => walk.press(page.getByRole('button', { name: 'Sign in' })));
}

async function choose(walk, page, round) {
  if (round === 2) {
    await walk.step('choice of the context', { path: '/choose', selector: 'section[aria-labelledby="engagements"] button' }, async () => {
      await walk.press(page.getByRole('button', { name: /^Account of/ }));
      await walk.press(page.getByRole('menuitem', { name: 'Client and engagement' }));
    });
  }
  // The one that has an inventory; a colleague gives it other names in brackets.
  const engagements = page.locator('section[aria-labelledby="engagements"] button');
  const first = engagements.filter({ hasText: /^Data centre exit(?! \d)/ }).first();
  await walk.step('overview', { path: '/overview', selector: 'main a[href^="/flows/"]' }, () => walk.press(first));
  walk.context = await page.evaluate(() => {
    const { tenantId, selection } = Object.values({ ...sessionStorage })
      .map((text) => JSON.parse(text))
      .map((stored) => stored.value ?? stored)
      .find((stored) => stored.tenantId !== undefined);
    return { clientId: tenantId, engagementId: selection.engagementId };
  });
}

async function tour(walk, { page, call, meter }, label) {
  const { clientId, engagementId } = walk.context;
  const write = (method, path, body) => meter.aside(() => call(method, path, body, clientId));
  const link = (name) => () => walk.press(page.getByRole('navigation').getByRole('link', { name, exact: true }).first());
  const table = (label) => ({ selector: `main [aria-label="${label}"] tbody tr` });

  // Flows.
  await walk.step('flows', { path: '^/flows$', ...table('Discovery flows') }, link('Discovery flows'));
  const { items: flows } = await write('GET', `/discovery/flows?engagement_id=${engagementId}`);
  const named = (text) => flows.find(({ name }) => name.startsWith(text));
  const [servers, storage, applications] = ['Server inventory', 'Storage and backup', 'Applications'].map(named);
  await walk.elsewhere('flows', () => write('PATCH', `/discovery/flows/${storage.id}`, { name: `Storage and backup ${label}` }));
  await walk.step('flow', { path: `^/flows/${servers.id}$`, heading: 'Server inventory' }, () =>
    walk.press(page.locator(`main a[href="/flows/${servers.id}"]`)),
  );
  await walk.elsewhere('flow', () => write('PATCH', `/discovery/flows/${servers.id}`, { name: `Server inventory ${label}` }));

  // Import, review, approval.
  await walk.step('imports', { path: '^/imports$', ...table('Imports') }, link('Data import'));
  const file = csvFile(`${label}.csv`, azureMigrateCsv(IMPORT_ROWS, label));
  await walk.step('an import', { path: '^/imports/[0-9a-f-]{36}$', selector: 'main a[href$="/mappings"]' }, () =>
    page.locator('input[type="file"]').setInputFiles(file),
  );
  const importId = new URL(page.url()).pathname.split('/').at(-1);
  await walk.step('review', { path: '/mappings$', selector: 'main tr[data-status]' }, () =>
    walk.press(page.getByRole('link', { name: 'Review field mappings' })),
  );
  for (const column of COLUMNS_APPROVED) await page.getByLabel(`Select ${column}`).press('Space');
  await walk.step('approval', { path: '/mappings$', selector: 'main tr[data-status="approved"]' }, async () => {
    await walk.press(page.getByRole('region', { name: 'Selected mappings' }).getByRole('button', { name: 'Approve' }));
    await page.getByText(/mappings? approved\./).first().waitFor();
  });
  const mappings = (of) => write('GET', `/field-mappings/${of}`).then(({ items }) => items);
  const approve = async (of, column) => {
    const found = (await mappings(of)).find(({ source_column, status }) => source_column === column || (column === null && status === 'suggested'));
    return write('POST', `/field-mappings/${of}/bulk-approve`, { mapping_ids: [found.id] });
  };
  await walk.elsewhere('review', () => approve(importId, COLUMN_OF_COLLEAGUE));

  // Inventory.
  await walk.step('inventory', { path: '^/inventory$', ...table('Assets') }, link('Asset inventory'));
  const { items: imports } = await write('GET', `/imports?engagement_id=${engagementId}`);
  const oldest = imports.map(({ id }) => id).sort()[0];
  await walk.elsewhere('inventory', async () => {
    const open = (await mappings(oldest)).find(({ status, target_attribute }) => status === 'suggested' && target_attribute);
    await write('POST', `/field-mappings/${oldest}/bulk-approve`, { mapping_ids: [open.id] });
  });
  await walk.step('inventory, page 2', { path: '^/inventory$', selector: 'main [aria-current="page"][aria-label="Page 2"]' }, () =>
    walk.press(page.getByRole('button', { name: 'Page 2', exact: true })),
  );
  const sought = serverName(6, label);
  await walk.step('inventory, search', { path: '^/inventory$', selector: 'main tbody tr:only-child' }, async () => {
    await page.getByLabel('Search the assets').fill(sought);
  });

  // Administration.
  await walk.step('users', { path: '^/admin/users$', ...table('Users') }, link('Administration'));
  const tab = (name) => () => walk.press(page.getByRole('navigation', { name: 'Administration' }).getByRole('link', { name }));
  await walk.step('approvals', { path: '^/admin/approvals$', selector: 'main nav[aria-label="Administration"] a[href="/admin/approvals"][aria-current]' }, tab('Pending approvals'));
  await walk.step('clients', { path: '^/admin/clients$', ...table('Clients') }, tab('Clients'));
  await walk.step('engagements', { path: '^/admin/engagements$', ...table('Engagements') }, tab('Engagements'));
  const engagement = await write('GET', `/admin/engagements/${engagementId}`);
  const { name, description, status, starts_on, ends_on } = engagement;
  await walk.elsewhere('engagements', () =>
    write('PUT', `/admin/engagements/${engagementId}`, { name: `${name.split(' (')[0]} (${label})`, description, status, starts_on, ends_on }),
  );

  // Back to where it began; what it shows was changed while nobody looked.
  await walk.elsewhere('administration', () => write('PATCH', `/discovery/flows/${applications.id}`, { name: `Applications ${label}` }));
  await walk.step('overview again', { path: '^/overview$', selector: 'main a[href^="/flows/"]' }, link('Overview'));
  await walk.step('flows again', { path: '^/flows$', ...table('Discovery flows') }, link('Discovery flows'));
  await walk.step('overview once more', { path: '^/overview$', selector: 'main a[href^="/flows/"]' }, link('Overview'));
}

function walker({ page, meter, truth }, { dwellMs, heardWithinMs }, isAlone) {
  const steps = [];
  const walk = { round: 1, context: undefined, steps };

  /** As a person does: points at it, then presses it. */
  walk.press = async (locator) => {
    await locator.hover();
    await page.waitForTimeout(dwellMs);
    await locator.click();
  };

  const judge = (facts) =>
    walk.context ? { compared: truth.compared(facts, walk.context), stale: truth.stale(facts, walk.context) } : { compared: 0, stale: [] };

  walk.step = async (name, ...rest) => {
    try {
      await step(name, ...rest);
    } catch (error) {
      throw new Error(`"${name}" of round ${walk.round} failed at ${page.url()}`, { cause: error });
    }
  };

  const step = async (name, ready, act, { isLoad = false } = {}) => {
    let shown;
    if (isLoad) {
      await act();
      meter.reset();
      shown = await page.evaluate((awaited) => window.__gains.until(awaited, true), ready);
    } else {
      const awaited = page.evaluate((wanted) => window.__gains.until(wanted), ready);
      // Whichever fails first is what is told.
      [shown] = await Promise.all([awaited, act()]);
    }
    const atFirst = judge(shown.facts);
    await meter.quiet();
    const settled = judge(await page.evaluate(() => window.__gains.facts()));
    const load = isLoad ? await page.evaluate(() => window.__gains.load()) : {};
    steps.push({
      name,
      round: walk.round,
      ms: shown.ms,
      ...load,
      ...(await meter.take()),
      compared: atFirst.compared + settled.compared,
      staleAtFirst: atFirst.stale,
      stale: settled.stale,
    });
  };

  /** A colleague changes something; a second later the page is compared with the database. */
  walk.elsewhere = async (name, act) => {
    if (isAlone) return;
    await act();
    await page.waitForTimeout(heardWithinMs);
    await meter.quiet();
    const { compared, stale } = judge(await page.evaluate(() => window.__gains.facts()));
    steps.push({ name: `${name}, a colleague writes`, round: walk.round, ms: null, ...(await meter.take()), compared, staleAtFirst: [], stale });
  };
  return walk;
}
