import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { reportVitals, routeOf } from '../src/vitals/index.ts';

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => vi.useRealTimers());

function start(status = 204) {
  const sent: { url: string; body: Record<string, unknown>[] }[] = [];
  const fetch = async (url: string, init?: RequestInit) => {
    sent.push({ url, body: JSON.parse(String(init?.body)) });
    return new Response(null, { status });
  };
  const vitals = reportVitals({
    url: '/api/v1/telemetry/vitals',
    page: () => '/flows',
    fetch: fetch as unknown as typeof globalThis.fetch,
    windowMs: 100,
  });
  return { vitals, sent };
}

describe('measurements', () => {
  it('are sent together, once each, with the page and not what was looked at', async () => {
    const { vitals, sent } = start();
    vitals.begin('page-shown');
    vitals.end('page-shown');
    vitals.end('page-shown');
    await vi.advanceTimersByTimeAsync(200);
    expect(sent).toHaveLength(1);
    expect(sent[0]?.url).toBe('/api/v1/telemetry/vitals');
    expect(sent[0]?.body).toEqual([
      {
        name: 'page-shown',
        value: expect.any(Number),
        rating: 'good',
        page: '/flows',
        navigation_type: 'soft',
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      },
    ]);
    vitals.stop();
  });

  it('count what is counted', async () => {
    const { vitals, sent } = start();
    vitals.count('page-calls', 3);
    await vi.advanceTimersByTimeAsync(200);
    expect(sent[0]?.body).toEqual([
      expect.objectContaining({ name: 'page-calls', value: 3, page: '/flows' }),
    ]);
    vitals.stop();
  });

  it('leave the ids out of addresses', () => {
    expect(routeOf('/imports/0b61d3a2-7c5e-4f9e-9a0e-2f1d0c9b8a77/mappings')).toBe('/imports/:id/mappings');
    expect(routeOf('/admin/users')).toBe('/admin/users');
    expect(routeOf('/things/42')).toBe('/things/:id');
  });

  it('end when the page is stopped', async () => {
    const { vitals, sent } = start();
    vitals.stop();
    vitals.begin('a');
    vitals.end('a');
    await vi.advanceTimersByTimeAsync(200);
    expect(sent).toEqual([]);
  });
});
