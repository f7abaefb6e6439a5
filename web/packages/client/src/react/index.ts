export {
  type CoherenceView,
  UnstaleProvider,
  useCoherence,
  useCoherentSession,
} from './provider.tsx';
export {
  type CoherentQueryClientOptions,
  createQueryClient,
  retryDelayMs,
  shouldRetry,
} from './query-client.ts';
export { type CoherentSession, type CoherentSessionOptions, createCoherentSession } from './session.ts';
