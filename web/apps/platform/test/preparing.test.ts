import type { CoherentSession } from '@unstale/client/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createPreparing } from '../src/session/preparing';

const [mine, others] = [{ id: 1 }, { id: 2 }] as unknown as CoherentSession[];

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const place = (to: string, session: CoherentSession | undefined, engagementId = 'e') => ({
  to,
  session: session as CoherentSession,
  engagementId,
});
const now = Promise.resolve();
const rested = () => vi.advanceTimersByTimeAsync(100);
const begin = (mayPrepare = true) => {
  const preparing = createPreparing(() => mayPrepare);
  return { preparing, to: () => preparing.store.get()?.to };
};

describe('where somebody is about to go', () => {
  it('is known once what the page shows is there, and the pointer has rested', async () => {
    const { preparing, to } = begin();
    let read = () => {};
    preparing.when(new Promise<void>((resolve) => (read = resolve)), place('/flows', mine));
    await rested();
    expect(to()).toBeUndefined();
    read();
    await rested();
    expect(to()).toBe('/flows');
  });

  it('is nothing that a pointer has only passed', async () => {
    const { preparing, to } = begin();
    preparing.when(now, place('/flows', mine));
    await vi.advanceTimersByTimeAsync(10);
    preparing.when(now, place('/imports', mine));
    await rested();
    expect(to()).toBe('/imports');
  });

  it('is one place, the last, whichever is ready first', async () => {
    const { preparing, to } = begin();
    let read = () => {};
    preparing.when(new Promise<void>((resolve) => (read = resolve)), place('/flows', mine));
    preparing.when(now, place('/imports', mine));
    await rested();
    read();
    await rested();
    expect(to()).toBe('/imports');
  });

  it('stays the very same when it is pointed at again, and is another for another session', async () => {
    const { preparing } = begin();
    preparing.when(now, place('/flows', mine));
    await rested();
    const before = preparing.store.get();
    preparing.when(now, place('/flows', mine));
    await rested();
    expect(preparing.store.get()).toBe(before);
    preparing.when(now, place('/flows', others));
    await rested();
    expect(preparing.store.get()?.session).toBe(others);
  });

  it('is forgotten some seconds later, counted from the last time', async () => {
    const { preparing, to } = begin();
    preparing.when(now, place('/flows', mine));
    await vi.advanceTimersByTimeAsync(9_000);
    preparing.when(now, place('/flows', mine));
    await vi.advanceTimersByTimeAsync(9_000);
    expect(to()).toBe('/flows');
    await vi.advanceTimersByTimeAsync(2_000);
    expect(to()).toBeUndefined();
  });

  it('is about one engagement, and ends with the choice of another', async () => {
    const { preparing, to } = begin();
    preparing.when(now, place('/overview', mine, 'next'));
    await rested();
    preparing.keepFor('next');
    expect(to()).toBe('/overview');
    preparing.keepFor('another');
    expect(to()).toBeUndefined();
  });

  it('does not come back after it was dropped', async () => {
    const { preparing, to } = begin();
    preparing.when(now, place('/flows', mine));
    preparing.drop();
    await rested();
    expect(to()).toBeUndefined();
  });

  it('is not prepared where there is no time for it, nor without its code', async () => {
    const touched = begin(false);
    touched.preparing.when(now, place('/flows', mine));
    const broken = begin();
    broken.preparing.when(Promise.reject(new Error('gone')), place('/flows', mine));
    await rested();
    expect([touched.to(), broken.to()]).toEqual([undefined, undefined]);
  });
});
