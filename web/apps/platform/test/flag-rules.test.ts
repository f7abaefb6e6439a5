import { describe, expect, it } from 'vitest';
import type { FlagRule } from '../src/api/types';
import { inWords } from '../src/lib/flags';

const rule = (said: Partial<FlagRule>): FlagRule => ({
  killed: false,
  percentage: 100,
  endpoints: {},
  on_for: [],
  off_for: [],
  ...said,
});

describe('a rule in words', () => {
  it.each([
    [{}, 'on', 'On', []],
    [{ percentage: 0 }, 'off', 'Off', []],
    [{ percentage: 10 }, 'partly', 'On for 10 % of users', []],
    [
      { endpoints: { assets: 5 }, on_for: ['a', 'b'], off_for: ['c'] },
      'on',
      'On',
      ['assets: 5 % of users', 'On for 2 named users', 'Off for 1 named user'],
    ],
    // Whatever else it says does not count.
    [{ killed: true, on_for: ['a'] }, 'killed', 'Off for everybody', []],
  ])('%j', (said, state, label, exceptions) => {
    expect(inWords(rule(said))).toEqual({ state, label, exceptions });
  });
});
