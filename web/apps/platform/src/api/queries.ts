import { keepPreviousData, type UseQueryOptions, useQuery } from '@tanstack/react-query';
import type { QueryParams } from '@unstale/client';
import { useCoherence, useCoherentSession } from '@unstale/client/react';
import type {
  AdminUser,
  AssetPage,
  Client,
  ClientSummary,
  ContextMe,
  Engagement,
  FieldMappings,
  Flow,
  FlowState,
  FlowSummary,
  Import,
  Items,
  MappingStatistics,
  PendingApproval,
  TargetAttribute,
} from './types';

/**
 * Every read of the app. Query keys begin with [tenant, user]; what makes a query stale is said by the
 * server's groups, so nothing here maps events to keys.
 */
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

type Options<T> = Pick<
  UseQueryOptions<T>,
  'enabled' | 'staleTime' | 'gcTime' | 'refetchInterval' | 'placeholderData' | 'select'
>;

export function useCoherentQuery<T>(
  name: readonly unknown[],
  path: string,
  { query, ...options }: Options<T> & { query?: QueryParams } = {},
) {
  const session = useCoherentSession();
  return useQuery<T>({
    queryKey: [...session.scope, ...name],
    queryFn: (context) => session.read<T>(context, path, query),
    ...options,
  });
}

export const useUserContext = () =>
  useCoherentQuery<ContextMe>(['context', 'me'], '/context/me', { staleTime: HOUR_MS, gcTime: 2 * HOUR_MS });

export const useClients = () =>
  useCoherentQuery<Items<ClientSummary>>(['context', 'clients'], '/context-establishment/clients', {
    staleTime: 30 * MINUTE_MS,
    gcTime: HOUR_MS,
  });

export const useEngagements = (clientId: string | null) =>
  useCoherentQuery<Items<Engagement>>(
    ['context', 'engagements', clientId],
    '/context-establishment/engagements',
    {
      query: { client_id: clientId },
      enabled: clientId !== null,
      staleTime: 30 * MINUTE_MS,
      gcTime: HOUR_MS,
    },
  );

export const useEngagement = (engagementId: string) =>
  useCoherentQuery<Engagement>(['engagements', engagementId], `/engagements/${engagementId}`);

/** The order people look for, whatever order the server answers in. */
function newestFirst<T>(at: (item: T) => string) {
  return ({ items }: Items<T>): Items<T> => ({
    items: items.toSorted((a, b) => at(b).localeCompare(at(a))),
  });
}

const flowsByChange = newestFirst<FlowSummary>((flow) => flow.updated_at);
const importsByStart = newestFirst<Import>((item) => item.created_at);

export const useFlows = (engagementId: string) =>
  useCoherentQuery<Items<FlowSummary>>(['flows', { engagementId }], '/discovery/flows', {
    query: { engagement_id: engagementId },
    select: flowsByChange,
  });

export const useFlow = (flowId: string) =>
  useCoherentQuery<Flow>(['flows', flowId], `/discovery/flows/${flowId}`);

export const useFlowState = (flowId: string) =>
  useCoherentQuery<FlowState>(['flows', flowId, 'state'], `/discovery/flows/${flowId}/state`);

export const useImports = (engagementId: string) =>
  useCoherentQuery<Items<Import>>(['imports', { engagementId }], '/imports', {
    query: { engagement_id: engagementId },
    select: importsByStart,
  });

export const isRunning = (item: Pick<Import, 'status'>): boolean =>
  item.status !== 'completed' && item.status !== 'failed';

export function useImport(importId: string) {
  const { state } = useCoherence();
  return useCoherentQuery<Import>(['imports', importId], `/imports/${importId}`, {
    // Progress is pushed; only without the socket is it asked for.
    refetchInterval: ({ state: { data } }) =>
      state === 'degraded' && data && isRunning(data) ? 2_000 : false,
  });
}

export const useTargetAttributes = () =>
  useCoherentQuery<Items<TargetAttribute>>(['target-attributes'], '/target-attributes', {
    staleTime: HOUR_MS,
    gcTime: 2 * HOUR_MS,
  });

const MAPPINGS_TIMES = { staleTime: 2 * MINUTE_MS, gcTime: 5 * MINUTE_MS };

export const useFieldMappings = (importId: string) =>
  useCoherentQuery<FieldMappings>(
    ['field-mappings', importId],
    `/field-mappings/${importId}`,
    MAPPINGS_TIMES,
  );

export const useMappingStatistics = (importId: string, enabled = true) =>
  useCoherentQuery<MappingStatistics>(
    ['field-mappings', importId, 'statistics'],
    `/field-mappings/${importId}/statistics`,
    { ...MAPPINGS_TIMES, enabled },
  );

export interface AssetFilter {
  engagementId: string;
  importId: string | null;
  search: string;
  page: number;
  pageSize: number;
}

export const useAssets = ({ engagementId, importId, search, page, pageSize }: AssetFilter) =>
  useCoherentQuery<AssetPage>(['assets', { engagementId, importId, search, page, pageSize }], '/assets', {
    query: { engagement_id: engagementId, import_id: importId, q: search, page, page_size: pageSize },
    placeholderData: keepPreviousData,
  });

export const useAdminClients = (enabled = true) =>
  useCoherentQuery<Items<Client>>(['admin', 'clients'], '/admin/clients', { enabled });

export const useAdminEngagements = () =>
  useCoherentQuery<Items<Engagement>>(['admin', 'engagements'], '/admin/engagements');

export const useAdminUsers = () => useCoherentQuery<Items<AdminUser>>(['admin', 'users'], '/admin/users');

export const usePendingApprovals = (enabled = true) =>
  useCoherentQuery<Items<PendingApproval>>(['admin', 'pending-approvals'], '/admin/pending-approvals', {
    enabled,
  });
