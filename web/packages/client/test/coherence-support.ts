/** A session with queries as mounted components have them, before a network and a socket that a test plays. */
import { QueryObserver } from '@tanstack/react-query';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import type { CoherentSession } from '../src/react/index.ts';
import { liveSession } from './live-session.ts';
import { FakeSocket, fakeNetwork, settle } from './support.ts';

export let network: ReturnType<typeof fakeNetwork>;
export let session: CoherentSession;
export const observers: (() => void)[] = [];

/** Begins the session of a test, in place of the one that each has. */
export async function begin(more: Parameters<typeof liveSession>[1] = {}): Promise<void> {
  session = await liveSession(network, {
    scope: ['tenant', 'user'],
    api: { baseUrl: '/api', fetch: network.fetch },
    live: { url: () => 'ws://host/events', WebSocket: FakeSocket, reconnectMinMs: 5, reconnectMaxMs: 10 },
    ...more,
  });
}

beforeEach(async () => {
  network = fakeNetwork();
  await begin();
});

afterEach(() => {
  for (const stop of observers.splice(0)) stop();
  session.dispose();
});

/** A query as a mounted component has it, made of the answers of one path or of several. */
export function show(name: string, ...paths: string[]) {
  const observer = new QueryObserver<unknown>(session.queryClient, {
    queryKey: [...session.scope, name],
    queryFn: async (context) => {
      const [path = name, ...others] = paths;
      let data = await session.read(context, `/${path}`);
      for (const other of others) data = [data, await session.read(context, `/${other}`)];
      return data;
    },
  });
  const stop = observer.subscribe(() => {});
  observers.push(stop);
  /** What the component says of `enabled` from now on. */
  const enable = (enabled: boolean) => observer.setOptions({ ...observer.options, enabled });
  return { observer, hide: stop, enable, data: () => observer.getCurrentResult().data };
}

export const stateOf = (name: string) => session.queryClient.getQueryState([...session.scope, name]);

export async function answer(body: unknown, groups: string[]) {
  await settle();
  network.calls.at(-1)?.answer(body, { groups });
  await vi.waitFor(() => expect(session.queryClient.isFetching()).toBe(0));
}

export const event = (groups: string[], position: string) =>
  FakeSocket.last.push({ type: 'cache_invalidation', groups, position, data: {} });

export const urlsAfter = (count: number) => network.calls.slice(count).map(({ url }) => url);
