import { ACCOUNTS, chooseFirstEngagement, signIn } from './browser.mjs';
import { approve, figure } from './steps.mjs';

/** Every page there is, with the account that may see it. `prepare` returns the address where it needs an id. */
const firstHref = (list, pattern) => async (page) => {
  await page.goto(list);
  const link = page.locator(`main a[href*="${pattern}"]`).first();
  await link.waitFor();
  return link.getAttribute('href');
};

/** The demonstration's doubtful values, which are seen once somebody has approved their columns. */
async function doubtfulValues(page) {
  await page.goto('/mappings');
  await page.getByLabel('Select *Server name').waitFor();
  if ((await figure(page, 'approved')) === 0) {
    await approve(page, '*Server name', 'IP addresses', '*Memory (In MB)', '*OS name', 'Environment', 'Business owner');
  }
  return page.getByRole('link', { name: 'Next: data cleansing' }).getAttribute('href');
}

export const OPEN_PAGES = [
  { name: 'sign-in', path: '/sign-in' },
  { name: 'request-access', path: '/request-access' },
];

export const CLIENT_PAGES = [
  { name: 'choose', path: '/choose' },
  { name: 'overview', path: '/overview' },
  { name: 'flows', path: '/flows' },
  { name: 'flow-detail', path: firstHref('/flows', '/flows/') },
  { name: 'imports', path: '/imports' },
  { name: 'import-detail', path: firstHref('/imports', '/imports/') },
  { name: 'mappings', path: '/mappings' },
  { name: 'cleansing', path: doubtfulValues },
  { name: 'inventory', path: '/inventory' },
  { name: 'admin-users', path: '/admin/users' },
  { name: 'admin-approvals', path: '/admin/approvals' },
  { name: 'admin-clients', path: '/admin/clients' },
  { name: 'admin-engagements', path: '/admin/engagements' },
  { name: 'not-found', path: '/no/such/page' },
];

/** What only administrators of the platform see. */
export const OPERATOR_PAGES = [
  { name: 'admin-flags', path: '/admin/flags' },
  { name: 'admin-cache', path: '/admin/cache' },
];

/** Goes to a page and waits until it shows its data and nothing is loading. */
export async function open(page, { path }) {
  const address = typeof path === 'string' ? path : await path(page);
  await page.goto(address);
  await page.getByRole('heading').first().waitFor();
  await page.waitForFunction(() => !document.querySelector('[aria-busy="true"]'));
  // A font is asked for when the first text in it is laid out, so the look must settle once before waiting.
  await page.evaluate(async () => {
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    await document.fonts.ready;
  });
}

export async function signInAsAdmin(page) {
  await signIn(page, ACCOUNTS.acmeAdmin);
  await chooseFirstEngagement(page);
}

export const signInAsOperator = (page) => signIn(page, ACCOUNTS.operator, { choose: false });
