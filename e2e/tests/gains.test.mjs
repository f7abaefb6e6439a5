import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { BUDGETS, broken } from '../gains/budgets.mjs';
import { measure } from '../gains/measure.mjs';
import { meter } from '../gains/meter.mjs';
import { launch, newPage } from '../support/browser.mjs';

/** Small data, one run, our path alone, no delays: counts are what is looked at, and they are the same however fast. */
const SIZE = '1x1x6x300';
const HURRIED = { dwellMs: 20, heardWithinMs: 400, quietMs: 100 };

test('the journey stays within its budgets of calls, queries, renders, hits and stale values', async (t) => {
  if (process.env.BASE_URL) return t.skip('it needs a server with data of its own');
  const log = (text) => t.diagnostic(text);
  const paths = await measure({ size: SIZE, runs: 1, secondRound: 'same session', only: 'ours', pace: HURRIED, log });
  assert.deepEqual(broken(paths, BUDGETS.hurried), []);
});

test('what a page asks for after it shows its data is counted as its own', async () => {
  const server = createServer(({ url }, response) => {
    response.setHeader('Content-Type', url === '/' ? 'text/html' : 'text/plain');
    response.end();
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${server.address().port}`;
  const browser = await launch();
  try {
    const page = await newPage(browser, url);
    const metered = await meter(page, url, { quietMs: 1_000 });
    await page.goto('/');
    await metered.quiet();
    await metered.take();
    await page.waitForTimeout(1_100);
    await page.evaluate(() => setTimeout(() => fetch('/api/v1/late'), 700));
    await metered.quiet();
    assert.deepEqual((await metered.take()).called, ['GET late']);
  } finally {
    await browser.close();
    server.close();
  }
});
