import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUDGETS, broken } from '../gains/budgets.mjs';
import { measure } from '../gains/measure.mjs';

/** Small data, one run, our path alone, no delays: counts are what is looked at, and they are the same however fast. */
const SIZE = '1x1x6x300';
const HURRIED = { dwellMs: 20, heardWithinMs: 400, quietMs: 100 };

test('the journey stays within its budgets of calls, queries, renders, hits and stale values', async (t) => {
  if (process.env.BASE_URL) return t.skip('it needs a server with data of its own');
  const log = (text) => t.diagnostic(text);
  const paths = await measure({ size: SIZE, runs: 1, secondRound: 'same session', only: 'ours', pace: HURRIED, log });
  assert.deepEqual(broken(paths, BUDGETS.hurried), []);
});
