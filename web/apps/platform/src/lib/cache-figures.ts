import type { CacheAggregate, CacheExperience, CachePerformance } from '../api/types';

/** Figures about the cache, added up for whom they are shown. Pure. */
export interface Figures {
  reads: number;
  /** Answered without loading, what is served stale by its policy included. */
  served: number;
  loads: number;
  loadFailures: number;
  loadMicros: number;
}

const NONE: Figures = { reads: 0, served: 0, loads: 0, loadFailures: 0, loadMicros: 0 };

function plus(sum: Figures, row: CacheAggregate): Figures {
  const served = row.hits + row.stale;
  return {
    reads: sum.reads + served + row.misses + row.bypasses,
    served: sum.served + served,
    loads: sum.loads + row.loads,
    loadFailures: sum.loadFailures + row.load_failures,
    loadMicros: sum.loadMicros + row.load_micros,
  };
}

export const total = (rows: readonly CacheAggregate[]): Figures => rows.reduce(plus, NONE);

/** By kind of entry, the most read first. */
export function byEntity(rows: readonly CacheAggregate[]): { entity: string; figures: Figures }[] {
  const sums = new Map<string, Figures>();
  for (const row of rows) sums.set(row.entity_type, plus(sums.get(row.entity_type) ?? NONE, row));
  return [...sums]
    .map(([entity, figures]) => ({ entity, figures }))
    .toSorted((a, b) => b.figures.reads - a.figures.reads);
}

/** 0 to 100; nothing where nothing was read. */
export const servedPercent = ({ reads, served }: Figures): number | null =>
  reads === 0 ? null : (100 * served) / reads;

export const loadMs = ({ loads, loadFailures, loadMicros }: Figures): number | null =>
  loads + loadFailures === 0 ? null : loadMicros / (loads + loadFailures) / 1000;

export interface Bar {
  /** When its minute began. */
  at: number;
  served: number;
  loaded: number;
}

const MINUTE_MS = 60_000;

/** Reads by minute, over all nodes: the last `minutes` up to `now`, the oldest first. */
export function minutes(rows: readonly CachePerformance[], now: number, count: number): Bar[] {
  const last = Math.floor(now / MINUTE_MS);
  const bars = Array.from({ length: count }, (_, index) => ({
    at: (last - count + 1 + index) * MINUTE_MS,
    served: 0,
    loaded: 0,
  }));
  for (const row of rows) {
    const bar = bars[count - 1 - (last - Math.floor(Date.parse(row.measured_at) / MINUTE_MS))];
    if (!bar) continue;
    bar.served += row.hits + row.stale;
    bar.loaded += row.misses + row.bypasses;
  }
  return bars;
}

/** What memory holds now: the newest word of every node that was heard of within the last `withinMs`. */
export function memory(rows: readonly CachePerformance[], now: number, withinMs: number) {
  const newest = new Map<string, CachePerformance>();
  for (const row of rows) {
    const known = newest.get(row.node);
    if (!known || known.measured_at < row.measured_at) newest.set(row.node, row);
  }
  const alive = [...newest.values()].filter(({ measured_at }) => now - Date.parse(measured_at) <= withinMs);
  return {
    nodes: alive.length,
    entries: alive.reduce((sum, { entries }) => sum + entries, 0),
    bytes: alive.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** By how much `ours` is more than `theirs`, in whole percent; nothing where one of them is not known. */
export const difference = (
  ours: number | null | undefined,
  theirs: number | null | undefined,
): number | null =>
  typeof ours === 'number' && typeof theirs === 'number' && theirs > 0
    ? Math.round((100 * (ours - theirs)) / theirs)
    : null;

export function statementsPerPage({ cached, uncached, statements }: CacheExperience): number | null {
  const pages = cached.pages + uncached.pages;
  return pages === 0 ? null : statements / pages;
}
