import { describe, expect, it } from 'vitest';
import { createApiClient } from '../src/index.ts';
import { type Call, fakeNetwork, settle } from './support.ts';

function setUp(itemsMax?: number) {
  const network = fakeNetwork();
  let client: string | null = 'c1';
  const api = createApiClient({
    baseUrl: '/api/v1',
    fetch: network.fetch,
    clientAccountId: () => client,
    batch: { windowMs: 8, ...(itemsMax ? { itemsMax } : {}) },
  });
  const actFor = (next: string) => {
    client = next;
  };
  const left = () => new Promise((resolve) => setTimeout(resolve, 20));
  return { ...network, api, actFor, left };
}

interface Item {
  id: string;
  path: string;
  if_none_match?: string;
}

const itemsOf = (call: Call | undefined): Item[] => JSON.parse(String(call?.init.body)).requests;

function respond(call: Call | undefined, answers: Record<string, unknown>[]): void {
  const responses = itemsOf(call).map(({ id }, place) => ({
    id,
    status: 200,
    headers: {},
    ...answers[place],
  }));
  call?.answer({ responses });
}

describe('reads of one moment', () => {
  it('leave as one request and get an answer each', async () => {
    const { api, calls, left } = setUp();
    const reads = [api.get<string>('/a'), api.get<string>('/b', { query: { x: 1 }, ifNoneMatch: '"b1"' })];
    await left();
    expect(calls.map(({ url }) => url)).toEqual(['/api/v1/batch']);
    expect(calls[0]?.headers.get('X-Client-Account-Id')).toBe('c1');
    expect(itemsOf(calls[0])).toEqual([
      { id: '0', path: '/api/v1/a' },
      { id: '1', path: '/api/v1/b?x=1', if_none_match: '"b1"' },
    ]);
    respond(calls[0], [
      { body: 'A', headers: { 'cache-groups': '"g"', etag: '"a1"' } },
      { status: 304, body: null },
    ]);
    const [a, b] = await Promise.all(reads);
    expect(a).toMatchObject({ data: 'A', groups: ['g'], etag: '"a1"', notModified: false });
    expect(b).toMatchObject({ notModified: true });
  });

  it('fail each by itself', async () => {
    const { api, calls, left } = setUp();
    const reads = [api.get('/a'), api.get('/b')];
    await left();
    respond(calls[0], [{ status: 403, body: { title: 'No', detail: 'Not yours' } }, { body: 'B' }]);
    const [a, b] = await Promise.allSettled(reads);
    expect(a).toMatchObject({ status: 'rejected', reason: { status: 403, detail: 'Not yours' } });
    expect(b).toMatchObject({ status: 'fulfilled', value: { data: 'B' } });
  });

  it('go alone where there is only one, so that the browser can revalidate it', async () => {
    const { api, calls, left } = setUp();
    void api.get('/a');
    await left();
    expect(calls.map(({ url, init }) => [url, init.cache])).toEqual([['/api/v1/a', 'no-cache']]);
  });

  it('name each its position, and share a request although they differ in it', async () => {
    const { api, calls, left } = setUp();
    void api.get('/a', { after: '1.0.7' });
    void api.get('/b', { after: '2.0.9' });
    void api.get('/c');
    await left();
    expect(calls.map(({ headers }) => headers.has('Unstale-Position'))).toEqual([false]);
    expect(itemsOf(calls[0])).toEqual([
      { id: '0', path: '/api/v1/a', position: '1.0.7' },
      { id: '1', path: '/api/v1/b', position: '2.0.9' },
      { id: '2', path: '/api/v1/c' },
    ]);
  });

  it('of different tenants never share a request', async () => {
    const { api, calls, left, actFor } = setUp();
    void api.get('/a');
    actFor('c2');
    void api.get('/b');
    await left();
    expect(calls.map(({ url, headers }) => [url, headers.get('X-Client-Account-Id')])).toEqual([
      ['/api/v1/a', 'c1'],
      ['/api/v1/b', 'c2'],
    ]);
  });

  it('are split where there are too many', async () => {
    const { api, calls, left } = setUp(2);
    for (const path of ['/a', '/b', '/c', '/d']) void api.get(path);
    await left();
    expect(calls.map((call) => itemsOf(call).map(({ path }) => path))).toEqual([
      ['/api/v1/a', '/api/v1/b'],
      ['/api/v1/c', '/api/v1/d'],
    ]);
  });

  it('leave without those nobody waits for any more, and are aborted when nobody waits at all', async () => {
    const { api, calls, left } = setUp();
    const controllers = [new AbortController(), new AbortController(), new AbortController()];
    const settled = Promise.allSettled(
      ['/a', '/b', '/c'].map((path, place) => api.get(path, { signal: controllers[place]?.signal })),
    );
    controllers[0]?.abort();
    await settle();
    await left();
    expect(itemsOf(calls[0]).map(({ path }) => path)).toEqual(['/api/v1/b', '/api/v1/c']);
    controllers[1]?.abort();
    await settle();
    expect(calls[0]?.init.signal?.aborted).toBe(false);
    controllers[2]?.abort();
    await settle();
    expect(calls[0]?.init.signal?.aborted).toBe(true);
    const results = await settled;
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  });

  it('are asked for one by one by a server that knows no batches, and it is asked once', async () => {
    const { api, calls, left } = setUp();
    const reads = [api.get('/a'), api.get('/b')];
    await left();
    calls[0]?.answer({ title: 'Not found' }, { status: 404 });
    await settle();
    expect(calls.slice(1).map(({ url }) => url)).toEqual(['/api/v1/a', '/api/v1/b']);
    calls[1]?.answer('A');
    calls[2]?.answer('B');
    expect((await Promise.all(reads)).map(({ data }) => data)).toEqual(['A', 'B']);
    void api.get('/c');
    void api.get('/d');
    await left();
    expect(calls.slice(3).map(({ url }) => url)).toEqual(['/api/v1/c', '/api/v1/d']);
  });

  it.each([401, 408, 429, 500, 502, 503, 504])(
    'are each refused by a %i of the whole, and not asked again',
    async (status) => {
      const { api, calls, left } = setUp();
      const reads = [api.get('/a'), api.get('/b')];
      await left();
      calls[0]?.answer({ title: 'Not now' }, { status });
      const refusal = { status: 'rejected', reason: { status, title: 'Not now' } };
      expect(await Promise.allSettled(reads)).toMatchObject([refusal, refusal]);
      expect(calls).toHaveLength(1);
      // It is no reason to do without batches.
      void api.get('/c').catch(() => {});
      void api.get('/d').catch(() => {});
      await left();
      expect(calls.slice(1).map(({ url }) => url)).toEqual(['/api/v1/batch']);
    },
  );

  it.each([
    [400, { title: 'What is this?' }],
    [403, { title: 'Not here' }],
    [413, { title: 'Too much' }],
    [200, '<html>'],
  ])('are asked for one by one where the whole was not understood: %i', async (status, body) => {
    const { api, calls, left } = setUp();
    const reads = [api.get('/a'), api.get('/b')];
    await left();
    calls[0]?.answer(body, { status });
    await settle();
    calls[1]?.answer('A');
    calls[2]?.answer('B');
    expect((await Promise.all(reads)).map(({ data }) => data)).toEqual(['A', 'B']);
  });

  it('do not wait for one that asked not to', async () => {
    const { api, calls } = setUp();
    void api.get('/large', { batch: false });
    expect(calls.map(({ url }) => url)).toEqual(['/api/v1/large']);
  });
});

describe('trace context', () => {
  it('goes with every request, a new one each', () => {
    const network = fakeNetwork();
    const api = createApiClient({ baseUrl: '', fetch: network.fetch });
    void api.get('/a');
    void api.write('POST', '/b');
    const traces = network.calls.map(({ headers }) => headers.get('traceparent'));
    for (const trace of traces) expect(trace).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(new Set(traces).size).toBe(2);
  });
});

describe('a closed client', () => {
  it('lets nothing through, neither what is under way nor what comes later', async () => {
    const { api, calls, left } = setUp();
    const under = api.get('/a');
    await left();
    api.close();
    calls[0]?.answer('late');
    await expect(under).rejects.toMatchObject({ name: 'AbortError' });
    await expect(api.get('/b')).rejects.toMatchObject({ name: 'AbortError' });
    await expect(api.write('POST', '/b')).rejects.toMatchObject({ name: 'AbortError' });
    expect(calls).toHaveLength(1);
  });
});
