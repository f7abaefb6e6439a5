import { keepPreviousData, type UseQueryResult } from '@tanstack/react-query';
import { type Read, useCoherence, useCoherentQuery } from '@unstale/client/react';
import { useClientId } from '../session/session';
import * as reads from './reads';
import type { AssetPage, Engagement, FlowSummary, Import, Items } from './types';

/**
 * What pages show. Addresses, keys and types are generated (`reads`); here are the times for which an answer may be
 * shown without being asked for again, and nothing that maps events to queries: the server's groups say what is stale.
 */
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** What is shown of a query, whichever state it is in. */
export type Shown<T> = Pick<UseQueryResult<T>, 'data' | 'isError' | 'error'> & { refetch: () => unknown };

const times = (staleTime: number, gcTime: number) => ({ staleTime, gcTime });
const CONTEXT = times(HOUR_MS, 2 * HOUR_MS);
const LISTS = times(30 * MINUTE_MS, HOUR_MS);
const MAPPINGS = times(2 * MINUTE_MS, 5 * MINUTE_MS);

/** Who one is and what one may do; not what one works on, which changes while one works. */
export const useUserContext = () => useCoherentQuery(reads.getStanding(), CONTEXT);

export const useClients = () => useCoherentQuery(reads.listOwnClients(), LISTS);

export const useEngagements = (clientId: string | null) =>
  useCoherentQuery(reads.listOwnEngagements({ client_id: clientId ?? '' }), {
    ...LISTS,
    enabled: clientId !== null,
  });

/** One of those to choose from, which every page holds: what changes of it is told with them. */
export function useEngagement(engagementId: string): Shown<Engagement> {
  const { data, isError, error, refetch } = useEngagements(useClientId());
  return { data: data?.items.find(({ id }) => id === engagementId), isError, error, refetch };
}

/** The order people look for, whatever order the server answers in. */
function newestFirst<T>(at: (item: T) => string) {
  return ({ items }: Items<T>): Items<T> => ({
    items: items.toSorted((a, b) => at(b).localeCompare(at(a))),
  });
}

const flowsByChange = newestFirst<FlowSummary>((flow) => flow.updated_at);
const importsByStart = newestFirst<Import>((item) => item.created_at);

export const useFlows = (engagementId: string) =>
  useCoherentQuery(reads.listFlows({ engagement_id: engagementId }), { select: flowsByChange });

export const useFlow = (flowId: string) => useCoherentQuery(reads.getFlow({ flow_id: flowId }));

export const useFlowState = (flowId: string) => useCoherentQuery(reads.getFlowState({ flow_id: flowId }));

export const useImports = (engagementId: string) =>
  useCoherentQuery(reads.listImports({ engagement_id: engagementId }), { select: importsByStart });

export const isRunning = (item: Pick<Import, 'status'>): boolean =>
  item.status !== 'completed' && item.status !== 'failed';

export function useImport(importId: string) {
  const { state } = useCoherence();
  return useCoherentQuery(reads.getImport({ import_id: importId }), {
    // Progress is pushed; only without a live connection is it asked for, and only while there is any.
    refetchInterval: ({ state: { data } }) =>
      state === 'degraded' && data && isRunning(data) ? 2_000 : false,
  });
}

export const useTargetAttributes = () => useCoherentQuery(reads.listTargetAttributes(), CONTEXT);

export const useFieldMappings = (importId: string) =>
  useCoherentQuery(reads.getFieldMappings({ import_id: importId }), MAPPINGS);

export const useMappingStatistics = (importId: string) =>
  useCoherentQuery(reads.getMappingStatistics({ import_id: importId }), MAPPINGS);

/** Of the newest import that has mappings, whichever that is. */
export const useLatestStatistics = (engagementId: string) =>
  useCoherentQuery(reads.getLatestStatistics({ engagement_id: engagementId }), MAPPINGS);

export const useDataQuality = (importId: string) =>
  useCoherentQuery(reads.getDataQuality({ import_id: importId }), MAPPINGS);

export interface AssetFilter {
  engagementId: string;
  importId: string | null;
  search: string;
  page: number;
}

const ASSETS_PER_PAGE = 50;

export const assetPage = ({ engagementId, importId, search, page }: AssetFilter) =>
  reads.listAssets({
    engagement_id: engagementId,
    ...(importId ? { import_id: importId } : {}),
    ...(search ? { q: search } : {}),
    page,
    page_size: ASSETS_PER_PAGE,
  });

export function useAssets(filter: AssetFilter) {
  const read = assetPage(filter);
  return useCoherentQuery(read, { placeholderData: keepPreviousData });
}

/** Only how many there are: small, and asked for together with the rest. */
export const assetCount = (engagementId: string): Read<AssetPage> => ({
  ...reads.listAssets({ engagement_id: engagementId, page_size: 0 }),
  batch: true,
});

export const useAssetCount = (engagementId: string) => useCoherentQuery(assetCount(engagementId));

export const useAdminClients = (enabled = true) => useCoherentQuery(reads.adminListClients(), { enabled });

/** Of the acting client they are those to choose from, which every page holds already. */
export const adminEngagements = (clientId: string | null): Read<Items<Engagement>> =>
  clientId === null ? reads.adminListEngagements() : reads.listOwnEngagements({ client_id: clientId });

export const useAdminEngagements = () => useCoherentQuery(adminEngagements(useClientId()), LISTS);

export const useAdminUsers = () => useCoherentQuery(reads.adminListUsers());

/** Says who a user is by their id, as far as they are still there. */
export function useNameOf(): (userId: string) => string {
  const users = useAdminUsers();
  return (userId) => users.data?.items.find(({ id }) => id === userId)?.name ?? 'A user who is gone';
}

/** As `useNameOf`, for everybody: of those who were seen lately, as far as they are asked for. */
export function useColleagueName(enabled: boolean): (userId: string | null) => string {
  const me = useUserContext().data?.user;
  const colleagues = useCoherentQuery(reads.listActiveUsers(), { ...LISTS, enabled });
  return (userId) => {
    if (userId !== null && userId === me?.id) return 'You';
    return colleagues.data?.items.find(({ id }) => id === userId)?.name ?? 'A colleague';
  };
}

export const usePendingApprovals = (enabled = true) =>
  useCoherentQuery(reads.listPendingApprovals(), { enabled });

/** What is said of the cache is not cached, and nothing tells that it moved: who looks at it asks again. */
const WATCHED = { staleTime: 0, refetchInterval: 10_000 };
const PERFORMANCE_INTERVALS = 720;

export const useFeatureFlags = () => useCoherentQuery(reads.adminListFlags(), WATCHED);

export const useFeatureFlagChanges = (key: string) =>
  useCoherentQuery(reads.adminListFlagChanges({ key }), { staleTime: 0 });

export const useCacheStatistics = () => useCoherentQuery(reads.listCacheStatistics({}), WATCHED);

export const useCachePerformance = () =>
  useCoherentQuery(reads.listCachePerformance({ limit: PERFORMANCE_INTERVALS }), WATCHED);

export const useCacheExperience = () => useCoherentQuery(reads.getCacheExperience(), WATCHED);

export const useCacheConsistency = () => useCoherentQuery(reads.getCacheConsistency(), WATCHED);

export const useCacheOmissions = () => useCoherentQuery(reads.listCacheOmissions(), WATCHED);

export const useCacheConfiguration = () => useCoherentQuery(reads.getCacheConfiguration(), WATCHED);

export const useCacheConfigurations = () => useCoherentQuery(reads.listCacheConfigurations({}), WATCHED);
