import type { UseQueryResult } from '@tanstack/react-query';
import { useImports } from '../src/api/queries';
import { getEngagement, getMappingStatistics } from '../src/api/reads';
import type { ClientSummary, ContextMe, Engagement, Items, LatestStatistics } from '../src/api/types';
import { useEverything } from './everything';
import { useCoherentQuery } from './react';

export * from '../src/api/queries';

/** What the providers hold, in the form in which pages expect a query. */
function held<T>(data: T | undefined): UseQueryResult<T> {
  const shown = { data, isPending: data === undefined, isError: false, error: null };
  return shown as unknown as UseQueryResult<T>;
}

export const useUserContext = (): UseQueryResult<ContextMe> => held(useEverything().me);
export const useClients = (): UseQueryResult<Items<ClientSummary>> => held(useEverything().clients);
export const useEngagements = (_clientId: string | null): UseQueryResult<Items<Engagement>> =>
  held(useEverything().engagements);

/** A read of its own. */
export const useEngagement = (engagementId: string): UseQueryResult<Engagement> =>
  useCoherentQuery(getEngagement({ engagement_id: engagementId }));

/** One after the other: the imports, then what is wanted of the newest. */
export function useLatestStatistics(engagementId: string): UseQueryResult<LatestStatistics> {
  const imports = useImports(engagementId);
  const latest = imports.data?.items.find(({ status }) => status === 'completed');
  const read = getMappingStatistics({ import_id: latest?.id ?? '' });
  const statistics = useCoherentQuery(read, { enabled: latest !== undefined });
  const isPending = imports.isPending || (latest !== undefined && statistics.isPending);
  return { ...held({ statistics: statistics.data ?? null }), isPending } as UseQueryResult<LatestStatistics>;
}
