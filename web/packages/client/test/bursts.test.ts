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

test('nothing is acted on once it is closed, and nobody waits for it', async () => {
  const act = vi.fn();
  const bursts = createBursts(act, 100);
  bursts.add(new Set(['a']));
  bursts.add(new Set(['b']));
  const begun = bursts.begun();
  bursts.close();
  await begun;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(act).toHaveBeenCalledTimes(1);
});
