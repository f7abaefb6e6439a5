import { describe, expect, it } from 'vitest';
import type { CacheAggregate, CachePerformance } from '../src/api/types';
import {
  byEntity,
  difference,
  loadMs,
  memory,
  minutes,
  servedPercent,
  statementsPerPage,
  total,
} from '../src/lib/cache-figures';

const aggregate = (said: Partial<CacheAggregate>): CacheAggregate => ({
  at: '2026-11-20T18:00:00Z',
  bypasses: 0,
  client_account_id: 'acme',
  entity_type: 'flow:complete',
  hit_ratio: 0,
  hits: 0,
  load_failures: 0,
  load_micros: 0,
  loaded_bytes: 0,
  loads: 0,
  misses: 0,
  stale: 0,
  ...said,
});

const interval = (said: Partial<CachePerformance>): CachePerformance => ({
  bypasses: 0,
  bytes: 0,
  checks: 0,
  entries: 0,
  evictions: 0,
  hits: 0,
  incorrect: 0,
  interval_ms: 10_000,
  invalidations: 0,
  load_failures: 0,
  load_micros_p50: null,
  load_micros_p95: null,
  load_micros_p99: null,
  loads: 0,
  measured_at: '2026-11-20T18:00:00Z',
  misses: 0,
  node: 'a',
  request_micros_p50: null,
  request_micros_p95: null,
  request_micros_p99: null,
  stale: 0,
  ...said,
});

describe('figures', () => {
  const rows = [
    aggregate({ hits: 6, stale: 1, misses: 2, bypasses: 1, loads: 2, load_failures: 1, load_micros: 6_000 }),
    aggregate({ entity_type: 'user:context', client_account_id: 'globex', hits: 20 }),
    aggregate({ at: '2026-11-20T19:00:00Z', hits: 2 }),
  ];

  it('are added up over hours, clients and kinds', () => {
    expect(total(rows)).toEqual({ reads: 32, served: 29, loads: 2, loadFailures: 1, loadMicros: 6_000 });
    expect(servedPercent(total(rows))).toBeCloseTo(90.625);
    expect(loadMs(total(rows))).toBe(2);
  });

  it('say nothing where nothing was read', () => {
    expect(servedPercent(total([]))).toBeNull();
    expect(loadMs(total([]))).toBeNull();
  });

  it('come by kind, the most read first', () => {
    expect(byEntity(rows).map(({ entity, figures }) => [entity, figures.reads])).toEqual([
      ['user:context', 20],
      ['flow:complete', 12],
    ]);
  });
});

describe('intervals', () => {
  const now = Date.parse('2026-11-20T18:02:30Z');

  it('are reads by minute, of all nodes, without those of another hour', () => {
    const bars = minutes(
      [
        interval({ measured_at: '2026-11-20T18:02:10Z', hits: 3, stale: 1, misses: 2 }),
        interval({ measured_at: '2026-11-20T18:02:20Z', node: 'b', hits: 4, bypasses: 1 }),
        interval({ measured_at: '2026-11-20T18:01:59Z', hits: 9 }),
        interval({ measured_at: '2026-11-20T17:59:59Z', hits: 100 }),
        interval({ measured_at: '2026-11-20T18:03:00Z', hits: 100 }),
      ],
      now,
      3,
    );
    expect(bars.map(({ served, loaded }) => [served, loaded])).toEqual([
      [0, 0],
      [9, 0],
      [8, 3],
    ]);
    expect(new Date(bars[2]?.at ?? 0).toISOString()).toBe('2026-11-20T18:02:00.000Z');
  });

  it('say what memory holds, by the newest word of each node that still speaks', () => {
    const rows = [
      interval({ measured_at: '2026-11-20T18:02:00Z', entries: 5, bytes: 50 }),
      interval({ measured_at: '2026-11-20T18:02:20Z', entries: 7, bytes: 70 }),
      interval({ measured_at: '2026-11-20T18:02:25Z', node: 'b', entries: 1, bytes: 10 }),
      interval({ measured_at: '2026-11-20T17:40:00Z', node: 'gone', entries: 1_000, bytes: 1_000 }),
    ];
    expect(memory(rows, now, 60_000)).toEqual({ nodes: 2, entries: 8, bytes: 80 });
  });
});

describe('what pages take', () => {
  const took = (pages: number) => ({
    pages,
    calls_mean: null,
    renders_mean: null,
    shown_ms_p50: null,
    shown_ms_p75: null,
  });

  it('is compared where both sides are known', () => {
    expect(difference(0.5, 2)).toBe(-75);
    expect(difference(3, 2)).toBe(50);
    expect(difference(null, 2)).toBeNull();
    expect(difference(1, 0)).toBeNull();
  });

  it('says how many statements a page cost', () => {
    const hour = { since: '2026-11-21T10:00:00Z', by_minute: [], statements: 30 };
    expect(statementsPerPage({ ...hour, cached: took(8), uncached: took(2) })).toBe(3);
    expect(statementsPerPage({ ...hour, cached: took(0), uncached: took(0) })).toBeNull();
  });
});
