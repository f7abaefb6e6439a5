import { QueryClientProvider } from '@tanstack/react-query';
import type { LiveState } from '@unstale/client';
import { createContext, type ReactNode, useContext, useEffect, useSyncExternalStore } from 'react';
import type { Unstale } from './life.ts';
import type { CoherentSession } from './session.ts';
import { useStore } from './store.ts';

const SessionContext = createContext<CoherentSession | null>(null);

/**
 * The one provider, around the whole application: starts the life of the session, once, however often StrictMode
 * renders. Its context value never changes, so nobody re-renders for it; what changes is read from `unstale.store`
 * with `useStore`.
 */
export function UnstaleProvider({
  unstale,
  children,
}: {
  unstale: Pick<Unstale, 'start'>;
  children: ReactNode;
}) {
  useEffect(() => void unstale.start(), [unstale]);
  return children;
}

/**
 * Around what belongs to a session. The session's `id` is the tree's key: another session, of another tenant, user or
 * set of rights, then gets a new tree. A mounted observer stays with the query client it was made with, and would go
 * on showing what that one had.
 */
export function SessionBoundary({ session, children }: { session: CoherentSession; children: ReactNode }) {
  return (
    <SessionContext key={session.id} value={session}>
      <QueryClientProvider client={session.queryClient}>{children}</QueryClientProvider>
    </SessionContext>
  );
}

export function useCoherentSession(): CoherentSession {
  const session = useContext(SessionContext);
  if (!session) throw new Error('useCoherentSession needs a <SessionBoundary> above it');
  return session;
}

export interface CoherenceView {
  state: LiveState;
  /** While the server cannot be reached: from when the oldest of what is shown is. */
  lastKnownAt: number | null;
  /** Tries at once; null where live events are not wanted, as with the cache switched off. */
  reconnect: (() => void) | null;
}

export function useCoherence(): CoherenceView {
  const { coherence, activity } = useCoherentSession();
  const state = useSyncExternalStore(coherence.subscribe, () => coherence.state);
  const lastKnownAt = useStore(activity.lastKnownAt, (at) => at);
  return { state, lastKnownAt, reconnect: coherence.isLiveWanted ? () => coherence.reconnect() : null };
}
