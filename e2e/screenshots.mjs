/** `node screenshots.mjs <folder>`: one PNG of every page in light, in dark, and 360 pixels wide. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { launch, newPage } from './support/browser.mjs';
import { CLIENT_PAGES, OPEN_PAGES, OPERATOR_PAGES, open, signInAsAdmin, signInAsOperator } from './support/pages.mjs';
import { startServer } from './support/server.mjs';

const folder = process.argv[2] ?? 'artifacts/screenshots';
const only = process.argv[3];
const LOOKS = [
  { name: 'light', options: { colorScheme: 'light' } },
  { name: 'dark', options: { colorScheme: 'dark' } },
  { name: '360', options: { colorScheme: 'light', viewport: { width: 360, height: 780 } } },
];

await mkdir(folder, { recursive: true });
const server = await startServer();
const browser = await launch();
try {
  for (const { name: look, options } of LOOKS) {
    const page = await newPage(browser, server.url, { ...options, reducedMotion: 'reduce' });
    const shoot = async (target) => {
      if (only && !target.name.includes(only)) return;
      await open(page, target);
      await page.screenshot({ path: path.join(folder, `${target.name}-${look}.png`), fullPage: look === '360' });
    };
    for (const target of OPEN_PAGES) await shoot(target);
    await signInAsAdmin(page);
    for (const target of CLIENT_PAGES) await shoot(target);
    await page.context().clearCookies();
    await signInAsOperator(page);
    for (const target of OPERATOR_PAGES) await shoot(target);
    await page.context().close();
  }
} finally {
  await browser.close();
  await server.stop();
}
