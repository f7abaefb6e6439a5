import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createBursts } from '../src/react/bursts.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('the first is acted on at once, what follows together, and then it begins anew', async () => {
  const acted: string[][] = [];
  const bursts = createBursts((queries) => acted.push([...queries]), 100);
  bursts.add(new Set(['a']));
  expect(acted).toEqual([['a']]);

  bursts.add(new Set(['a', 'b']));
  bursts.add(new Set(['c']));
  let begun = false;
  void bursts.begun().then(() => {
    begun = true;
  });
  await vi.advanceTimersByTimeAsync(99);
  expect([acted.length, begun]).toEqual([1, false]);
  await vi.advanceTimersByTimeAsync(1);
  expect([acted, begun]).toEqual([[['a'], ['a', 'b', 'c']], true]);

  // What was acted on late opens a window of its own.
  bursts.add(new Set(['d']));
  expect(acted.length).toBe(2);
  await vi.advanceTimersByTimeAsync(200);
  bursts.add(new Set(['e']));
  expect(acted.slice(2)).toEqual([['d'], ['e']]);
});

test('nothing at all makes nobody wait', () => {
  const act = vi.fn();
  const bursts = createBursts(act, 100);
  bursts.add(new Set());
  bursts.add(new Set(['a']));
  expect(act.mock.calls).toEqual([[new Set(['a'])]]);
});

test('what is to come later joins the burst of its moment, at the latest that of the first', async () => {
  const acted: string[][] = [];
  const bursts = createBursts((queries) => acted.push([...queries]), 100);
  bursts.add(new Set(['a']), 1_000);
  bursts.add(new Set(['b']), 5_000);
  bursts.add(new Set(['c']));
  await vi.advanceTimersByTimeAsync(999);
  expect(acted).toEqual([['c']]);
  await vi.advanceTimersByTimeAsync(1);
  expect(acted).toEqual([['c'], ['a', 'b']]);
});

test('who wants to see it does not wait for what is to come later', async () => {
  const acted: string[][] = [];
  const bursts = createBursts((queries) => acted.push([...queries]), 100);
  bursts.add(new Set(['a']), 5_000);
  await bursts.begun();
  expect(acted).toEqual([['a']]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(acted).toHaveLength(1);
});

test('nothing is acted on once it is closed, and nobody waits for it', async () => {
  const act = vi.fn();
  const bursts = createBursts(act, 100);
  bursts.add(new Set(['a']));
  bursts.add(new Set(['b']));
  bursts.add(new Set(['c']), 500);
  const begun = bursts.begun();
  bursts.close();
  await begun;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(act).toHaveBeenCalledTimes(1);
});
