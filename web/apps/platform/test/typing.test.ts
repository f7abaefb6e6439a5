import { describe, expect, it } from 'vitest';
import { isTyped } from '../src/lib/typing';

describe('a text that changes', () => {
  it.each([
    ['', 's'],
    ['srv', 'srv-'],
    ['srv-', 'srv'],
    ['sv', 'srv'],
    ['srv', 'sev'],
    ['aa', 'aaa'],
    ['srv', 'srv'],
  ])('from %j to %j is being typed', (before, after) => {
    expect(isTyped(before, after)).toBe(true);
  });

  it.each([
    ['', 'srv-01'],
    ['srv-01', ''],
    ['srv-01', 'srv-02-db'],
    ['srv-01', 'srv-12'],
    ['abcd', 'wxyz'],
    ['aa', 'aaaa'],
  ])('from %j to %j is not', (before, after) => {
    expect(isTyped(before, after)).toBe(false);
  });
});
