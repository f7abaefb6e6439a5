import { QueryClientProvider, QueryObserver, useQuery } from '@tanstack/react-query';
import { act, cleanup, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type CoherentSession,
  coherentQueryOptions,
  createCoherentSession,
  defineRead,
} from '../src/react/index.ts';
import { liveSession } from './live-session.ts';
import { FakeSocket, fakeNetwork, settle } from './support.ts';

let network: ReturnType<typeof fakeNetwork>;
let session: CoherentSession;

beforeEach(async () => {
  network = fakeNetwork();
  session = await liveSession(network, { rereadEveryMs: 0 });
});

afterEach(() => {
  cleanup();
  session.dispose();
});

const key = ['t', 'u', 'flows'];
const options = {
  queryKey: key,
  queryFn: (context: Parameters<typeof session.read>[0]) => session.read<unknown>(context, '/flows'),
};

function show() {
  const observer = new QueryObserver(session.queryClient, options);
  return { stop: observer.subscribe(() => {}), data: () => observer.getCurrentResult().data };
}

async function answer(body: unknown, etag: string, status = 200) {
  await settle();
  network.calls.at(-1)?.answer(body, { groups: status === 304 ? [] : ['a'], etag, status });
  await vi.waitFor(() => expect(session.queryClient.isFetching()).toBe(0));
}

const event = (position: string) =>
  FakeSocket.last.push({ type: 'cache_invalidation', groups: ['a'], position, data: {} });

const asked = () => network.calls.at(-1)?.headers.get('If-None-Match') ?? null;

describe('a read of what is still held', () => {
  it('asks whether it is still right, and keeps the very object if it is', async () => {
    const flows = show();
    await answer({ items: [1] }, '"1"');
    const held = flows.data();
    event('0.e.1');
    await settle();
    expect(asked()).toBe('"1"');
    expect(network.calls.at(-1)?.init.cache).toBe('no-store');
    await answer(undefined, '"1"', 304);
    expect(flows.data()).toBe(held);
    expect(session.activity.counters.notModified).toBe(1);

    // The groups are still those of the answer that was confirmed.
    event('0.e.2');
    await settle();
    expect(network.calls).toHaveLength(3);
    flows.stop();
  });

  it('re-renders nobody when nothing has changed', async () => {
    let renders = 0;
    function Flows() {
      renders += 1;
      const { data } = useQuery(options);
      return <p>{JSON.stringify(data)}</p>;
    }
    render(
      <QueryClientProvider client={session.queryClient}>
        <Flows />
      </QueryClientProvider>,
    );
    await act(() => answer({ items: [1] }, '"1"'));
    expect(screen.getByText('{"items":[1]}')).toBeTruthy();
    const before = renders;
    await act(async () => {
      event('0.e.1');
      await settle();
      await answer(undefined, '"1"', 304);
    });
    expect(network.calls).toHaveLength(2);
    expect(renders).toBe(before);
  });

  it('is not asked conditionally once it was changed here: the ETag was of something else', async () => {
    const flows = show();
    await answer({ items: [1] }, '"1"');
    session.queryClient.setQueryData(key, { items: [1, 2] });
    event('0.e.1');
    await settle();
    expect(asked()).toBeNull();
    await answer({ items: [1] }, '"1"');
    expect(flows.data()).toEqual({ items: [1] });
    flows.stop();
  });

  it('goes by the newest ETag although the data looks the same', async () => {
    const flows = show();
    await answer({ items: [1] }, '"1"');
    event('0.e.1');
    await answer({ items: [1] }, '"2"');
    event('0.e.2');
    await settle();
    expect(asked()).toBe('"2"');
    flows.stop();
  });

  it('is not asked conditionally if the query was made of several answers', async () => {
    const observer = new QueryObserver(session.queryClient, {
      queryKey: key,
      queryFn: async (context) => [await session.read(context, '/a'), await session.read(context, '/b')],
    });
    const stop = observer.subscribe(() => {});
    await settle();
    network.calls[0]?.answer({ of: 'a' }, { groups: ['a'], etag: '"1"' });
    await settle();
    network.calls[1]?.answer({ of: 'b' }, { groups: ['b'], etag: '"2"' });
    await vi.waitFor(() => expect(session.queryClient.isFetching()).toBe(0));
    // It holds the groups of both.
    expect([...session.coherence.groupsOf(JSON.stringify(key))]).toEqual(['a', 'b']);
    event('0.e.1');
    await settle();
    expect(network.calls).toHaveLength(3);
    expect(asked()).toBeNull();
    stop();
  });
});

describe('a session without its cache', () => {
  it('keeps nothing, opens no socket and asks whenever something is shown', async () => {
    const opened = FakeSocket.opened.length;
    const plain = createCoherentSession({
      scope: ['t', 'u'],
      mode: 'plain',
      api: { baseUrl: '', fetch: network.fetch },
      live: { url: () => 'ws://host/events', WebSocket: FakeSocket },
    });
    const read = defineRead<unknown>('/flows')();
    const times = coherentQueryOptions(plain, read, { staleTime: 1_000, gcTime: 1_000 });
    expect([times.staleTime, times.gcTime]).toEqual([undefined, undefined]);
    const count = network.calls.length;
    for (let time = 1; time <= 2; time += 1) {
      const observer = new QueryObserver(plain.queryClient, {
        ...options,
        queryFn: (context) => plain.read(context, '/flows'),
      });
      const stop = observer.subscribe(() => {});
      await settle();
      network.calls.at(-1)?.answer({ time }, { etag: '"1"' });
      await vi.waitFor(() => expect(observer.getCurrentResult().data).toEqual({ time }));
      stop();
      await settle();
    }
    expect(network.calls).toHaveLength(count + 2);
    expect(asked()).toBeNull();
    expect(FakeSocket.opened).toHaveLength(opened);
    plain.dispose();
  });
});
