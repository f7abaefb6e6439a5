import { describe, expect, it } from 'vitest';
import type { CacheConfiguration, Configuration } from '../src/api/types';
import { differences, inSeconds, isChanged, itemsOf, withSettings } from '../src/lib/configuration';

const RELEASED: Configuration = {
  consistency: { checks_per_second_max: 5, sample_per_million: 1000 },
  endpoints: {},
  entries: {},
  retention: { daily_days: 800, hourly_days: 35, metadata_days: 7, performance_days: 14 },
  switches: { cache: true, headers: true, store: true },
  tenants: {},
};

const inForce = (configuration: Configuration): CacheConfiguration => ({
  version: 1,
  configuration,
  entries: [{ name: 'flow:complete', ttl_seconds_max: 300, is_strict: false }],
  endpoints: [{ name: '/api/v1/context/me', ttl_seconds_max: 3600, is_strict: false }],
});

describe('a configuration', () => {
  const [route, entry] = itemsOf(inForce(RELEASED));

  it('names what can be configured, and what is otherwise than released', () => {
    expect([route?.name, entry?.name]).toEqual(['/api/v1/context/me', 'flow:complete']);
    expect([route, entry].map((item) => item && isChanged(item))).toEqual([false, false]);
  });

  it('is changed for one item, and as before once nothing is said of it', () => {
    if (!entry) throw new Error('there is one');
    const changed = withSettings(RELEASED, entry, { ttl_seconds: 60, cache: null });
    expect(changed.entries).toEqual({ 'flow:complete': { ttl_seconds: 60 } });
    expect(itemsOf(inForce(changed)).map(isChanged)).toEqual([false, true]);
    expect(withSettings(changed, entry, { ttl_seconds: null })).toEqual(RELEASED);
    expect(differences(RELEASED, changed)).toEqual(['flow:complete: fresh for 1 min']);
    expect(differences(changed, RELEASED)).toEqual(['flow:complete: as released']);
  });

  it('tells what was changed', () => {
    const off = { ...RELEASED, switches: { ...RELEASED.switches, cache: false } };
    expect(differences(null, off)).toEqual(['The cache: off']);
    expect(differences(off, RELEASED)).toEqual(['The cache: on']);
    const watch = { ...RELEASED, consistency: { ...RELEASED.consistency, sample_per_million: 0 } };
    expect(differences(RELEASED, watch)).toEqual(['quotas, watch or retention']);
    expect(differences(RELEASED, RELEASED)).toEqual([]);
  });
});

describe('seconds', () => {
  it.each([
    [0, '0 s'],
    [90, '90 s'],
    [300, '5 min'],
    [7200, '2 h'],
    [172_800, '2 d'],
  ])('%d', (seconds, text) => {
    expect(inSeconds(seconds)).toBe(text);
  });
});
