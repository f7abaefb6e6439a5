import { act, cleanup, renderHook } from '@testing-library/react';
import type { CoherentSession } from '@unstale/client/react';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { useFieldMappings, useMappingStatistics } from '../src/api/queries';
import { useReview } from '../src/api/review';
import type { FieldMapping } from '../src/api/types';
import { statisticsOf } from '../src/lib/mappings';
import { openSession, pause, within } from './support';

/** A server reduced to one import: its answers are real, and a write waits until the test lets it end. */
function fakeServer() {
  const mapping = (id: string): FieldMapping => ({
    id,
    import_id: 'i',
    position: 0,
    source_column: id,
    target_attribute: id,
    confidence: 1,
    reason: 'same name',
    status: 'suggested',
    sample_values: [],
    reviewed_by: null,
    reviewed_at: null,
    updated_at: '2026-11-20T18:00:00Z',
  });
  const state = { items: [mapping('a'), mapping('b')], end: (_: Response) => {} };
  const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });
  const fetch = (url: string, init?: RequestInit) => {
    if (init?.method === 'POST') {
      return new Promise<Response>((resolve) => {
        state.end = resolve;
      });
    }
    if (url.endsWith('/statistics')) return Promise.resolve(json(statisticsOf('i', state.items)));
    return Promise.resolve(
      json({ import_id: 'i', file_name: 'f.csv', engagement_id: 'e', items: state.items }),
    );
  };
  return { state, json, fetch: fetch as unknown as typeof globalThis.fetch };
}

let server: ReturnType<typeof fakeServer>;
let session: CoherentSession;

beforeEach(() => {
  server = fakeServer();
  session = openSession(server.fetch);
});

afterEach(() => {
  cleanup();
  session.dispose();
});

async function openReview() {
  const wrapper = within(session);
  const { result } = renderHook(
    () => ({
      mappings: useFieldMappings('i'),
      statistics: useMappingStatistics('i'),
      review: useReview('i'),
    }),
    { wrapper },
  );
  await pause();
  return {
    review: () => result.current.review,
    statuses: () => result.current.mappings.data?.items.map(({ status }) => status),
    approved: () => result.current.statistics.data?.approved,
  };
}

describe('a bulk review', () => {
  it('is shown before the server has answered', async () => {
    const page = await openReview();
    act(() => page.review().mutate({ decision: 'approve', ids: ['a'] }));
    await pause();
    expect(page.statuses()).toEqual(['approved', 'suggested']);
    expect(page.approved()).toBe(1);
  });

  it('is what the server says once it has answered', async () => {
    const page = await openReview();
    act(() => page.review().mutate({ decision: 'reject', ids: ['a', 'b'] }));
    await pause();
    server.state.items = server.state.items.map((item) => ({ ...item, status: 'rejected' as const }));
    server.state.end(server.json({ updated: 2, statistics: statisticsOf('i', server.state.items) }));
    await pause();
    expect(page.statuses()).toEqual(['rejected', 'rejected']);
    expect(page.approved()).toBe(0);
  });

  it('is taken back when the server refuses, without losing what others changed meanwhile', async () => {
    const page = await openReview();
    act(() => page.review().mutate({ decision: 'approve', ids: ['a'] }));
    await pause();
    server.state.items = server.state.items.map((item) =>
      item.id === 'b' ? { ...item, status: 'rejected' as const } : item,
    );
    server.state.end(server.json({ title: 'Two columns for one target' }, 409));
    await pause();
    expect(page.statuses()).toEqual(['suggested', 'rejected']);
    expect(page.approved()).toBe(0);
    expect(page.review().error).toMatchObject({ status: 409 });
  });
});
