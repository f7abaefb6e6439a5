import { describe, expect, it, vi } from 'vitest';
import { type ApiClientOptions, ApiError, createApiClient, LocalClock } from '../src/index.ts';
import { fakeNetwork, settle } from './support.ts';

function setUp(overrides: Pick<ApiClientOptions, 'clientAccountId' | 'batch' | 'timeoutMs'> = {}) {
  const network = fakeNetwork();
  const onUnauthorized = vi.fn(async () => false);
  const clock = new LocalClock();
  const api = createApiClient({
    baseUrl: '/api/v1',
    fetch: network.fetch,
    onUnauthorized,
    clock,
    ...overrides,
  });
  return { ...network, api, onUnauthorized, clock };
}

describe('reads', () => {
  it('share one request, whatever the order of their parameters', async () => {
    const { api, calls } = setUp();
    const reads = [
      api.get('/flows', { query: { b: 2, a: 1, none: null } }),
      api.get('/flows', { query: { a: 1, b: 2 } }),
    ];
    expect(calls.map(({ url }) => url)).toEqual(['/api/v1/flows?a=1&b=2']);
    calls[0]?.answer({ items: [] }, { groups: ['g1', 'g2'] });
    const [first, second] = await Promise.all(reads);
    expect(first).toBe(second);
    expect(first?.groups).toEqual(['g1', 'g2']);
  });

  it('say when their request left, also to who joined it later', async () => {
    const { api, calls, clock } = setUp();
    const first = api.get('/flows');
    clock.next();
    const second = api.get('/flows');
    calls[0]?.answer({});
    expect([(await first).base, (await second).base]).toEqual([0, 0]);
  });

  it('abort the request only when the last waiter has left', async () => {
    const { api, calls } = setUp();
    const controllers = [new AbortController(), new AbortController()];
    const reads = controllers.map(({ signal }) => api.get('/flows', { signal }));
    controllers[0]?.abort();
    expect(calls[0]?.init.signal?.aborted).toBe(false);
    controllers[1]?.abort();
    const results = await Promise.allSettled(reads);
    await settle();
    expect(calls[0]?.init.signal?.aborted).toBe(true);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('leave revalidation to the browser and carry the acting client', () => {
    const { api, calls } = setUp({ clientAccountId: () => 'c1' });
    void api.get('/flows');
    expect(calls[0]?.init.cache).toBe('no-cache');
    expect(calls[0]?.headers.get('X-Client-Account-Id')).toBe('c1');
  });

  it('of different clients never share a request', () => {
    let client = 'c1';
    const { api, calls } = setUp({ clientAccountId: () => client });
    void api.get('/flows');
    client = 'c2';
    void api.get('/flows');
    expect(calls).toHaveLength(2);
  });
});

describe('a server that', () => {
  it('does not answer in time counts as one that cannot be reached, for reads, batches and writes', async () => {
    const { api, calls } = setUp({ batch: {}, timeoutMs: 20 });
    const lone = api.get('/flows', { batch: false });
    const requests = [lone, api.get('/a'), api.get('/b'), api.write('POST', '/flows', {})];
    const ended = await Promise.allSettled(requests);
    expect(calls).toHaveLength(3);
    expect(calls.every(({ init }) => init.signal?.aborted)).toBe(true);
    expect(ended.map((each) => each.status === 'rejected' && each.reason)).toEqual(
      Array(4).fill(expect.objectContaining({ name: 'ApiError', status: 0 })),
    );
  });

  it.each([
    ['5', 5_000],
    [' 0 ', 0],
    ['Mon, 02 Nov 2026 10:00:07 GMT', 7_000],
    ['Mon, 02 Nov 2026 09:00:00 GMT', 0],
    ['soon', undefined],
    [undefined, undefined],
  ])('wants to be asked later (%s) is believed', async (retryAfter, ms) => {
    vi.useFakeTimers({ now: Date.UTC(2026, 10, 2, 10), toFake: ['Date'] });
    try {
      const { api, calls } = setUp();
      const read = api.get('/flows');
      calls[0]?.answer({}, { status: 429, ...(retryAfter ? { retryAfter } : {}) });
      await expect(read).rejects.toMatchObject({ status: 429, retryAfterMs: ms });
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('positions', () => {
  it('of the last write go with the following reads, which do not join an older one', async () => {
    const { api, calls } = setUp();
    void api.get('/flows');
    const write = api.write('POST', '/flows', { name: 'x' });
    calls[1]?.answer({ id: '1' }, { status: 201, position: '0.e.7' });
    expect((await write).position).toBe('0.e.7');

    void api.get('/flows');
    expect(calls).toHaveLength(3);
    expect(calls[0]?.headers.has('Unstale-Position')).toBe(false);
    expect(calls[2]?.headers.get('Unstale-Position')).toBe('0.e.7');
  });

  it('are joined: nothing older than an own write is ever asked for', async () => {
    const { api, calls } = setUp();
    for (const position of ['0.e.a', '1.e.3', '0.e.9']) {
      const write = api.write('DELETE', '/flows/1');
      calls.at(-1)?.answer(undefined, { status: 204, position });
      await write;
    }
    expect(api.positionFor()).toBe('0.e.a~1.e.3');
    expect(api.positionFor('0.e.9')).toBe('0.e.a~1.e.3');
    expect(api.positionFor('0.e.b')).toBe('0.e.b~1.e.3');
  });
});

describe('errors', () => {
  it('carry the problem document', async () => {
    const { api, calls } = setUp();
    const write = api.write('POST', '/clients', {});
    calls[0]?.answer(
      {
        type: '/problems/invalid',
        title: 'Not valid',
        detail: 'A name is needed',
        errors: [{ field: 'name', message: 'missing' }],
      },
      { status: 422 },
    );
    const error = await write.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      status: 422,
      title: 'Not valid',
      detail: 'A name is needed',
      type: '/problems/invalid',
      errors: [{ field: 'name', message: 'missing' }],
    });
  });

  it('have a title even if a proxy answers with HTML', async () => {
    const { api, calls } = setUp();
    const read = api.get('/flows');
    calls[0]?.answer('<html>', { status: 502 });
    await expect(read).rejects.toMatchObject({ status: 502, title: 'The server answered 502' });
  });

  it('say when the server cannot be reached', async () => {
    const { api, calls } = setUp();
    const read = api.get('/flows');
    calls[0]?.fail(new TypeError('network'));
    await expect(read).rejects.toMatchObject({ status: 0 });
  });

  it('report a lost session, but not a refused sign-in', async () => {
    const { api, calls, onUnauthorized } = setUp();
    const signIn = api.write('POST', '/auth/login', {}, { anonymous: true });
    calls[0]?.answer({ title: 'no' }, { status: 401 });
    await expect(signIn).rejects.toMatchObject({ status: 401 });
    expect(onUnauthorized).not.toHaveBeenCalled();

    const read = api.get('/flows');
    calls[1]?.answer({ title: 'no' }, { status: 401 });
    await expect(read).rejects.toMatchObject({ status: 401 });
    await settle();
    expect(onUnauthorized).toHaveBeenCalledOnce();
  });
});

describe('a request that is not let in', () => {
  it('is sent once more where it would be let in now, and not a third time', async () => {
    const { api, calls, onUnauthorized } = setUp();
    onUnauthorized.mockResolvedValue(true);
    const write = api.write('POST', '/flows', { name: 'x' });
    calls[0]?.answer({}, { status: 401 });
    await vi.waitFor(() => expect(calls).toHaveLength(2));
    expect(calls[1]?.init).toMatchObject({ method: 'POST', body: '{"name":"x"}' });
    calls[1]?.answer({ id: 1 });
    await expect(write).resolves.toMatchObject({ data: { id: 1 } });

    const read = api.get('/flows');
    calls[2]?.answer({}, { status: 401 });
    await vi.waitFor(() => expect(calls).toHaveLength(4));
    calls[3]?.answer({}, { status: 401 });
    await expect(read).rejects.toMatchObject({ status: 401 });
    expect(onUnauthorized).toHaveBeenCalledTimes(2);
  });

  it('goes with the others of its batch again', async () => {
    const { api, calls, onUnauthorized } = setUp({ batch: {} });
    onUnauthorized.mockResolvedValue(true);
    const reads = Promise.all([api.get('/flows'), api.get('/imports')]);
    await vi.waitFor(() => expect(calls).toHaveLength(1));
    calls[0]?.answer({}, { status: 401 });
    await vi.waitFor(() => expect(calls).toHaveLength(2));
    const responses = ['0', '1'].map((id) => ({ id, status: 200, headers: {}, body: id }));
    calls[1]?.answer({ responses });
    expect((await reads).map(({ data }) => data)).toEqual(['0', '1']);
  });

  it('fails for the reason for which that cannot be known', async () => {
    const { api, calls, onUnauthorized } = setUp();
    onUnauthorized.mockRejectedValue(ApiError.unreachable(undefined));
    const read = api.get('/flows');
    calls[0]?.answer({}, { status: 401 });
    await expect(read).rejects.toMatchObject({ status: 0 });
  });

  it('is not sent again for nobody', async () => {
    const { api, calls, onUnauthorized } = setUp();
    onUnauthorized.mockImplementation(async () => {
      api.close();
      return true;
    });
    const write = api.write('POST', '/flows');
    calls[0]?.answer({}, { status: 401 });
    await expect(write).rejects.toMatchObject({ name: 'AbortError' });
    expect(calls).toHaveLength(1);
  });
});
