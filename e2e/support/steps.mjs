import { azureMigrateCsv, csvFile } from './csv.mjs';

/** Imports a file through the page, and ends on the import's own page, completed. */
export async function importCsv(page, { name, rows, prefix }) {
  await page.goto('/imports');
  await page.locator('input[type="file"]').setInputFiles(csvFile(name, azureMigrateCsv(rows, prefix)));
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
