import { azureMigrateCsv, csvFile } from './csv.mjs';

/** Imports a file through the page, and ends on the import's own page, completed. */
export async function importCsv(page, { name, rows, prefix, text = azureMigrateCsv(rows, prefix) }) {
  await page.goto('/imports');
  await page.locator('input[type="file"]').setInputFiles(csvFile(name, text));
  await page.waitForURL(/\/imports\/[0-9a-f-]{36}$/);
  await page.getByRole('link', { name: 'Review field mappings' }).waitFor({ timeout: 60_000 });
  return new URL(page.url()).pathname.split('/').at(-1);
}

/** The number in the header of the mappings, such as that of the approved ones. */
export async function figure(page, label) {
  const text = await page.locator(`[data-figure="${label}"]`).innerText();
  return Number.parseInt(text, 10);
}

export const mappingRow = (page, column) => page.locator('tr', { has: page.getByText(column, { exact: true }) });

/** A name no earlier run has used, for a server that is kept between runs. */
export const unique = (name) => `${name}-${Date.now().toString(36)}`;

/** The addresses that a request reads, below the API's: those of a batch, or its own. */
export function readsOf(request) {
  const { pathname } = new URL(request.url());
  if (!pathname.startsWith('/api/v1/')) return [];
  const paths = pathname.endsWith('/batch') ? request.postDataJSON().requests.map(({ path }) => path) : [pathname];
  return paths.map((path) => path.split('?')[0].replace('/api/v1', ''));
}

export async function approve(page, ...columns) {
  // A tab in the background is drawn once a second only, which the driver would wait for at each step.
  await page.bringToFront();
  for (const column of columns) await page.getByLabel(`Select ${column}`).check();
  await page.getByRole('region', { name: 'Selected mappings' }).getByRole('button', { name: 'Approve' }).click();
  await page.getByText(/mappings? approved\./).first().waitFor();
}

export async function signOut(page) {
  await page.getByRole('button', { name: /^Account of/ }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
}

/** Everything that a page's origin holds in this tab, as one text: what is on screen, and every storage there is. */
export const heldBy = (page) =>
  page.evaluate(async () => {
    const parts = [document.documentElement.outerHTML, document.cookie];
    for (const storage of [sessionStorage, localStorage]) parts.push(JSON.stringify({ ...storage }));
    for (const name of await caches.keys()) {
      const cache = await caches.open(name);
      parts.push(name);
      for (const request of await cache.keys()) {
        parts.push(request.url, await (await cache.match(request)).text());
      }
    }
    parts.push(JSON.stringify(await indexedDB.databases()));
    return parts.join('\n');
  });
