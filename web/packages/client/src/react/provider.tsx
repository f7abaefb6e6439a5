import { QueryClientProvider } from '@tanstack/react-query';
import type { LiveState } from '@unstale/client';
import { createContext, type ReactNode, useContext, useSyncExternalStore } from 'react';
import type { CoherentSession } from './session.ts';

const SessionContext = createContext<CoherentSession | null>(null);

/**
 * Give it the session's `id` as `key`: another session, of another tenant, user or set of rights, then gets a new
 * tree. A mounted observer stays with the query client it was made with, and would go on showing what that one had.
 */
export function UnstaleProvider({ session, children }: { session: CoherentSession; children: ReactNode }) {
  return (
    <SessionContext value={session}>
      <QueryClientProvider client={session.queryClient}>{children}</QueryClientProvider>
    </SessionContext>
  );
}

export function useCoherentSession(): CoherentSession {
  const session = useContext(SessionContext);
  if (!session) throw new Error('useCoherentSession needs an <UnstaleProvider> above it');
  return session;
}

export interface CoherenceView {
  state: LiveState;
  reconnect: () => void;
}

export function useCoherence(): CoherenceView {
  const { coherence } = useCoherentSession();
  const state = useSyncExternalStore(coherence.subscribe, () => coherence.state);
  return { state, reconnect: () => coherence.reconnect() };
}
