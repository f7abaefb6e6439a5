export type { Activity, Counters, Happening } from './activity.ts';
export type { Change, Pending } from './foretold.ts';
export {
  type AuthState,
  type ContextState,
  createUnstale,
  type Identity,
  type LastKnownStore,
  type Selection,
  type SignedOutReason,
  type Unstale,
  type UnstaleOptions,
  type UnstaleState,
} from './life.ts';
export {
  type CoherenceView,
  SessionBoundary,
  UnstaleProvider,
  useCoherence,
  useCoherentSession,
} from './provider.tsx';
export {
  type CoherentQueryClientOptions,
  createPlainQueryClient,
  createQueryClient,
  retryDelayMs,
  sealQueryClient,
  shouldRetry,
} from './query-client.ts';
export {
  adopt,
  coherentQueryOptions,
  defineRead,
  type Held,
  type IntentHandlers,
  keyOf,
  type OnIntent,
  prefetchReads,
  type Read,
  type ReadDefinition,
  type ReadOptions,
  useCoherentQuery,
  useHeld,
  usePrefetchOnIntent,
  type Wanted,
} from './reads.ts';
export { RenderedAhead } from './rendered-ahead.tsx';
export {
  type CoherentSession,
  type CoherentSessionOptions,
  createCoherentSession,
  type LastKnown,
  type ReadContext,
  type ReadSettings,
} from './session.ts';
export { type ContextStorage, type ContextStorageOptions, createContextStorage } from './storage.ts';
export { createStore, type Store, useStore } from './store.ts';
export {
  type Foretold,
  foretell,
  type Receipt,
  refreshAhead,
  useWrite,
  type Write,
  type WriteDefinition,
} from './writes.ts';
