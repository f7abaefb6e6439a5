import { QueryClient, type QueryClientConfig } from '@tanstack/react-query';
import { isApiError } from '@unstale/client';

const MINUTE_MS = 60_000;

/** Answers that the same request will only repeat. */
const FINAL_STATUSES = [400, 401, 403, 404, 409, 422] as const;
const RETRIES_MAX = 2;
const RETRY_DELAY_MS_MAX = 30_000;

const wantedDelayMs = (error: unknown) => (isApiError(error) ? (error.retryAfterMs ?? 0) : 0);

/** A server that wants to be left alone for longer than anybody waits is not asked again. */
export function shouldRetry(failures: number, error: unknown): boolean {
  if (failures >= RETRIES_MAX || isApiError(error, ...FINAL_STATUSES)) return false;
  return wantedDelayMs(error) <= RETRY_DELAY_MS_MAX;
}

/** Exponential, and not before the server wants to be asked again. */
export function retryDelayMs(failures: number, error?: unknown): number {
  return Math.min(Math.max(1_000 * 2 ** failures, wantedDelayMs(error)), RETRY_DELAY_MS_MAX);
}

/**
 * A write is sent, or fails: by default one would be put by while the browser thinks that it is offline, neither done nor
 * refused, and be sent whenever it thinks otherwise, by somebody who may have given it up.
 */
const MUTATIONS = { retry: false, networkMode: 'always' } as const;

export interface CoherentQueryClientOptions {
  /** True while no event can reach this tab; then coming back to it is the moment to look again. */
  isDegraded?: () => boolean;
  /** Queries are run although the browser says that it is offline: something may still answer them. */
  readsOffline?: boolean;
  config?: QueryClientConfig;
}

export function createQueryClient({
  isDegraded = () => false,
  readsOffline = false,
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
        networkMode: readsOffline ? 'offlineFirst' : 'online',
        retry: shouldRetry,
        retryDelay: retryDelayMs,
      },
      mutations: MUTATIONS,
    },
  });
}

/** The former way, kept as the way back: nothing is kept, and whatever is shown is asked for again. */
export function createPlainQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: { staleTime: 0, gcTime: 0, retry: shouldRetry, retryDelay: retryDelayMs },
      mutations: MUTATIONS,
    },
  });
}

/**
 * Empties a query client for good. `clear()` alone does not: a mutation that is still under way writes its result, and
 * its roll-back, into the emptied cache.
 */
export function sealQueryClient(client: QueryClient): void {
  void client.cancelQueries();
  client.clear();
  for (const cache of [client.getQueryCache(), client.getMutationCache()]) {
    cache.subscribe(({ type }: { type: string }) => {
      // After the event: `setQueryData` adds a query first, and then gives it its data.
      if (type === 'added' || type === 'updated') queueMicrotask(() => cache.clear());
    });
  }
}
