import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const ARGS = [
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const launch = (options = {}) =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGS, ...options });

/** A browser with a back/forward cache, which drivers switch off; and a page in it that says whether it came out of there. */
export async function openKept(url) {
  const browser = await launch({ ignoreDefaultArgs: ['--disable-back-forward-cache'] });
  const page = await newPage(browser, url);
  await page.addInitScript(() => {
    window.addEventListener('pageshow', (event) => {
      window.restored = event.persisted;
      requestAnimationFrame(() => {
        window.firstFrame = document.body.innerText;
      });
    });
  });
  return { browser, page };
}

export async function assertRestored(page) {
  assert.equal(await page.evaluate(() => window.restored), true, 'the page was not kept: something of it forbids it');
}

export const PASSWORD = 'demo-password';
export const ACCOUNTS = {
  acmeAdmin: 'admin@acme.test',
  acmeAnalyst: 'analyst@acme.test',
  globexAnalyst: 'analyst@globex.test',
  operator: 'operator@platform.test',
};

/** A page of a new, empty browser context that fails the test on an uncaught error in the page. */
export async function newPage(browser, url, options = {}) {
  const context = await browser.newContext({ baseURL: url, viewport: { width: 1280, height: 860 }, ...options });
  context.setDefaultTimeout(15_000);
  return context.newPage();
}

/** Collects what must not happen on any page. */
export function watchErrors(page) {
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  return errors;
}

export async function signIn(page, email, { choose = true } = {}) {
  await page.goto('/sign-in');
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL((address) => !address.pathname.startsWith('/sign-in'));
  if (choose) await chooseFirstEngagement(page);
}

/** Leaves the page on the overview of an engagement, whichever way the account's defaults lead. */
export async function chooseFirstEngagement(page) {
  const overview = page.getByRole('link', { name: 'Import an inventory' });
  const choices = page.getByRole('region', { name: /^Engagement/ }).getByRole('button');
  await overview.or(choices.first()).first().waitFor();
  if (!(await overview.isVisible())) await choices.first().click();
  await overview.waitFor();
}

/** Lets pages of this context be asked which live sockets they have (`liveSockets`). */
export const watchSockets = (context) =>
  context.addInitScript(() => {
    window.liveSockets = new Set();
    window.WebSocket = class extends window.WebSocket {
      constructor(url, protocols) {
        super(url, protocols);
        window.liveSockets.add(this);
        this.addEventListener('close', () => window.liveSockets.delete(this));
      }
    };
  });

/** The clients that the live sockets of these pages are for. */
export async function liveSockets(pages) {
  const urls = await Promise.all(pages.map((page) => page.evaluate(() => [...window.liveSockets].map(({ url }) => url))));
  return urls.flat().map((url) => new URL(url).searchParams.get('client_account_id'));
}

/** Waits until the live connection has greeted the page. */
export const waitForLive = (page) => page.getByRole('button', { name: /^Connection: Live/ }).waitFor();
