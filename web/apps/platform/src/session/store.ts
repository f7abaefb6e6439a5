import type { CoherentSession } from '@unstale/client/react';
import { create } from 'zustand';

/**
 * The small global state: who is signed in, for which client and engagement, and a little UI state.
 * Everything that comes from the server lives in the query client, not here.
 * Read it with a selector, so that a component re-renders only for what it shows.
 */
export type SignedOutReason = 'signed-out' | 'other-tab' | 'expired';

export type AuthState =
  | { status: 'starting' }
  | { status: 'unreachable' }
  | { status: 'signed-out'; reason: SignedOutReason | null }
  | { status: 'signed-in'; userId: string; session: CoherentSession };

export interface ContextState {
  clientId: string | null;
  engagementId: string | null;
}

export interface UiState {
  navigationOpen: boolean;
}

export interface PlatformState {
  auth: AuthState;
  context: ContextState;
  ui: UiState;
  setNavigationOpen: (open: boolean) => void;
}

export const usePlatformStore = create<PlatformState>()((set) => ({
  auth: { status: 'starting' },
  context: { clientId: null, engagementId: null },
  ui: { navigationOpen: false },
  setNavigationOpen: (navigationOpen) => set({ ui: { navigationOpen } }),
}));

export const useClientId = () => usePlatformStore((state) => state.context.clientId);
export const useEngagementId = () => usePlatformStore((state) => state.context.engagementId);
