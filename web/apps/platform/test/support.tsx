import { act } from '@testing-library/react';
import { type CoherentSession, createCoherentSession, SessionBoundary } from '@unstale/client/react';
import type { ReactNode } from 'react';

/** A socket that never connects: what is tested must not depend on it. */
class NoSocket extends EventTarget {
  close() {}
}

/** A session of its own, whose server is `fetch`. */
export const openSession = (fetch: typeof globalThis.fetch): CoherentSession =>
  createCoherentSession({
    scope: ['client', 'user'],
    api: { baseUrl: '/api', fetch },
    live: { url: () => 'ws://host', WebSocket: NoSocket },
    greetingWaitMs: 0,
  });

/** For hooks that are used within `session`. */
export const within =
  (session: CoherentSession) =>
  ({ children }: { children: ReactNode }) => <SessionBoundary session={session}>{children}</SessionBoundary>;

/** Lets what was answered be shown. */
export const pause = () => act(() => new Promise((resolve) => setTimeout(resolve, 20)));
