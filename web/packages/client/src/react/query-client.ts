import { QueryClient, type QueryClientConfig } from '@tanstack/react-query';
import { isApiError } from '@unstale/client';

const MINUTE_MS = 60_000;

/** Answers that the same request will only repeat. */
const FINAL_STATUSES = [400, 401, 403, 404, 409, 422] as const;
const RETRIES_MAX = 2;

export function shouldRetry(failures: number, error: unknown): boolean {
  return failures < RETRIES_MAX && !isApiError(error, ...FINAL_STATUSES);
}

export function retryDelayMs(failures: number): number {
  return Math.min(1_000 * 2 ** failures, 30_000);
}

export interface CoherentQueryClientOptions {
  /** True while no event can reach this tab; then coming back to it is the moment to look again. */
  isDegraded?: () => boolean;
  config?: QueryClientConfig;
}

export function createQueryClient({
  isDegraded = () => false,
  config,
}: CoherentQueryClientOptions = {}): QueryClient {
  return new QueryClient({
    ...config,
    defaultOptions: {
      queries: {
        staleTime: 5 * MINUTE_MS,
        gcTime: 10 * MINUTE_MS,
        refetchOnWindowFocus: () => (isDegraded() ? 'always' : false),
        // A plain `false` would also keep what an event has invalidated while it was off screen.
        refetchOnMount: (query) => query.state.isInvalidated || isDegraded(),
        refetchOnReconnect: true,
        retry: shouldRetry,
        retryDelay: retryDelayMs,
      },
      mutations: { retry: false },
    },
  });
}
