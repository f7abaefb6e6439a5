import { describe, expect, it } from 'vitest';
import { formatAgo, formatBytes, formatPercent, formatPeriod, plural } from '../src/lib/format';
import { safeReturnPath } from '../src/lib/return-path';

describe('sizes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [999_949, '999.9 kB'],
    [999_951, '1.0 MB'],
    [48_210, '48.2 kB'],
    [2_500_000_000, '2.5 GB'],
  ])('%d', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe('times', () => {
  const now = Date.parse('2026-11-20T18:00:00Z');
  it.each([
    ['2026-11-20T17:59:55Z', 'just now'],
    ['2026-11-20T17:59:30Z', '30 seconds ago'],
    ['2026-11-20T17:48:00Z', '12 minutes ago'],
    ['2026-11-20T13:00:00Z', '5 hours ago'],
    ['2026-11-19T17:00:00Z', 'yesterday'],
    ['2026-08-20T18:00:00Z', '3 months ago'],
    ['2024-11-20T18:00:00Z', '2 years ago'],
  ])('%s', (instant, text) => {
    expect(formatAgo(instant, now)).toBe(text);
  });
});

describe('words', () => {
  it('name periods by what is known of them', () => {
    expect(formatPeriod('2026-09-01', '2027-03-31')).toBe('Sep 1, 2026 to Mar 31, 2027');
    expect(formatPeriod('2026-09-01', null)).toBe('from Sep 1, 2026');
    expect(formatPeriod(null, '2027-03-31')).toBe('until Mar 31, 2027');
    expect(formatPeriod(null, null)).toBeNull();
  });

  it('count', () => {
    expect(plural(1, 'row')).toBe('1 row');
    expect(plural(2_400, 'row')).toBe('2,400 rows');
    expect(formatPercent(33.3)).toBe('33 %');
  });
});

describe('the return path after sign-in', () => {
  it.each([
    ['/flows?status=draft', '/flows?status=draft'],
    [null, '/'],
    ['https://evil.test', '/'],
    ['//evil.test', '/'],
    ['/\\evil.test', '/'],
    ['/sign-in?next=/sign-in', '/'],
  ])('%s leads to %s', (given, expected) => {
    expect(safeReturnPath(given)).toBe(expected);
  });
});
