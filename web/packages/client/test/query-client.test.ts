import { MutationObserver, onlineManager } from '@tanstack/react-query';
import { describe, expect, it } from 'vitest';
import { ApiError } from '../src/index.ts';
import { createQueryClient, retryDelayMs, shouldRetry } from '../src/react/index.ts';
import { createPlainQueryClient } from '../src/react/query-client.ts';

const refused = (status: number) => new ApiError({ type: 'about:blank', title: 'no', status });

describe('the retry policy', () => {
  it.each([400, 401, 403, 404, 409, 422])('never repeats a %i', (status) => {
    expect(shouldRetry(0, refused(status))).toBe(false);
  });

  it.each([0, 429, 500, 503])('tries a %i twice more', (status) => {
    expect([0, 1, 2].map((failures) => shouldRetry(failures, refused(status)))).toEqual([true, true, false]);
  });

  it('waits longer each time, up to half a minute', () => {
    expect([0, 1, 2, 10].map((failures) => retryDelayMs(failures))).toEqual([1_000, 2_000, 4_000, 30_000]);
  });

  it('does not ask before the server wants to be asked, and not at all if nobody would wait for it', () => {
    const busy = (retryAfterMs: number) =>
      new ApiError({ type: 'about:blank', title: 'busy', status: 503 }, { retryAfterMs });
    expect([0, 3].map((failures) => retryDelayMs(failures, busy(5_000)))).toEqual([5_000, 8_000]);
    expect([30_000, 30_001].map((ms) => shouldRetry(0, busy(ms)))).toEqual([true, false]);
    expect(retryDelayMs(0, new Error('no answer at all'))).toBe(1_000);
  });
});

describe('a write', () => {
  it.each([
    ['the coherent way', createQueryClient],
    ['the plain one', createPlainQueryClient],
  ])(
    'is sent or fails, %s: it is not put by until the browser thinks that it is online',
    async (_way, make) => {
      onlineManager.setOnline(false);
      try {
        const mutationFn = () => Promise.reject(new Error('unreachable'));
        await expect(new MutationObserver(make(), { mutationFn }).mutate()).rejects.toThrow('unreachable');
      } finally {
        onlineManager.setOnline(true);
      }
    },
  );
});

describe('the defaults', () => {
  it('keep data fresh for five minutes and in memory for ten', () => {
    const { queries } = createQueryClient().getDefaultOptions();
    expect(queries).toMatchObject({ staleTime: 300_000, gcTime: 600_000, refetchOnReconnect: true });
  });

  it.each([
    ['nothing again while live', false, false, false],
    ['everything again when somebody comes back while degraded', true, 'always', true],
  ])('read %s', (_what, isDegraded, onFocus, onMount) => {
    const client = createQueryClient({ isDegraded: () => isDegraded });
    const options = client.getDefaultOptions().queries;
    const query = client.getQueryCache().build(client, { queryKey: ['any'] });
    const when = (option: unknown) => (option as (of: typeof query) => unknown)(query);
    expect(when(options?.refetchOnWindowFocus)).toBe(onFocus);
    expect(when(options?.refetchOnMount)).toBe(onMount);
    // What was declared wrong while nobody showed it is asked for whatever the state.
    query.invalidate();
    expect(when(options?.refetchOnMount)).toBe(true);
  });
});
