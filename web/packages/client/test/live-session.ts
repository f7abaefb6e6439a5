import { expect, vi } from 'vitest';
import { type CoherentSession, createCoherentSession } from '../src/react/index.ts';
import { FakeSocket, type fakeNetwork } from './support.ts';

type Options = Parameters<typeof createCoherentSession>[0];

/** A session whose socket, the only one that was opened, has been greeted at position `0.e.0`. */
export async function liveSession(
  network: ReturnType<typeof fakeNetwork>,
  more: Partial<Options> = {},
): Promise<CoherentSession> {
  FakeSocket.opened = [];
  const session = createCoherentSession({
    scope: ['t', 'u'],
    api: { baseUrl: '', fetch: network.fetch },
    live: { url: () => 'ws://host/events', WebSocket: FakeSocket },
    ...more,
  });
  await vi.waitFor(() => expect(FakeSocket.opened).toHaveLength(1));
  FakeSocket.last.greet('0.e.0');
  return session;
}
