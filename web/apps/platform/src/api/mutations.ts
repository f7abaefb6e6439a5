import type { ApiClient } from '@unstale/client';
import { useWrite } from '@unstale/client/react';
import type {
  AdminUser,
  Client,
  Configuration,
  ConfigurationVersion,
  Engagement,
  EngagementStatus,
  FeatureFlag,
  FieldMapping,
  FlagRule,
  Flow,
  FlowStatus,
  MembershipRole,
} from './types';

/**
 * Every write of the app. The pushed event names exactly what changed; what a write `refreshes` ahead of it are first
 * parts of keys, which are the addresses of reads. Each resolves with a receipt: `visible()` says when it is on screen.
 */
const FLOWS = [['discovery', 'flows']] as const;
const MAPPINGS = [['field-mappings'], ['assets']] as const;
const USERS = [
  ['admin', 'users'],
  ['admin', 'pending-approvals'],
] as const;
const ENGAGEMENTS = [
  ['admin', 'engagements'],
  ['context-establishment', 'engagements'],
  ['engagements'],
] as const;
const CLIENTS = [
  ['admin', 'clients'],
  ['context-establishment', 'clients'],
] as const;

export const useCreateFlow = () =>
  useWrite({
    send: (api: ApiClient, body: { engagement_id: string; name: string }) =>
      api.write<Flow>('POST', '/discovery/flows', body),
    refreshes: FLOWS,
  });

export const useUpdateFlow = (flowId: string) =>
  useWrite({
    send: (api: ApiClient, body: { name?: string; status?: FlowStatus }) =>
      api.write<Flow>('PATCH', `/discovery/flows/${flowId}`, body),
    refreshes: FLOWS,
  });

export const useDeleteFlow = () =>
  useWrite({
    send: (api: ApiClient, flowId: string) => api.write<void>('DELETE', `/discovery/flows/${flowId}`),
    refreshes: FLOWS,
  });

export const useChooseTarget = (importId: string) =>
  useWrite({
    send: (api: ApiClient, { mappingId, target }: { mappingId: string; target: string | null }) =>
      api.write<FieldMapping>('PATCH', `/field-mappings/${importId}/${mappingId}`, {
        target_attribute: target,
      }),
    refreshes: MAPPINGS,
  });

export interface EngagementInput {
  client_account_id?: string;
  name: string;
  description: string | null;
  status: EngagementStatus;
  starts_on: string | null;
  ends_on: string | null;
}

export const useSaveEngagement = () =>
  useWrite({
    send: (api: ApiClient, { id, ...body }: EngagementInput & { id: string | null }) =>
      id === null
        ? api.write<Engagement>('POST', '/admin/engagements', body)
        : api.write<Engagement>('PUT', `/admin/engagements/${id}`, body),
    refreshes: ENGAGEMENTS,
  });

interface Removal {
  id: string;
  cascade: boolean;
}

export const useDeleteEngagement = () =>
  useWrite({
    send: (api: ApiClient, { id, cascade }: Removal) =>
      api.write<void>('DELETE', `/admin/engagements/${id}`, undefined, {
        query: { cascade: cascade || null },
      }),
    refreshes: ENGAGEMENTS,
  });

export interface ClientInput {
  name: string;
  industry: string | null;
  description: string | null;
}

export const useSaveClient = () =>
  useWrite({
    send: (api: ApiClient, { id, ...body }: ClientInput & { id: string | null }) =>
      id === null
        ? api.write<Client>('POST', '/admin/clients', body)
        : api.write<Client>('PUT', `/admin/clients/${id}`, body),
    refreshes: CLIENTS,
  });

export const useDeleteClient = () =>
  useWrite({
    send: (api: ApiClient, { id, cascade }: Removal) =>
      api.write<void>('DELETE', `/admin/clients/${id}`, undefined, { query: { cascade: cascade || null } }),
    refreshes: CLIENTS,
  });

interface Access {
  userId: string;
  clientId: string;
}

export const useSetRole = () =>
  useWrite({
    send: (api: ApiClient, { userId, clientId, role }: Access & { role: MembershipRole }) =>
      api.write<AdminUser>('PUT', `/users/${userId}/roles`, { role, client_account_id: clientId }),
    refreshes: USERS,
  });

export const useGrantAccess = () =>
  useWrite({
    send: (api: ApiClient, { userId, clientId, role }: Access & { role: MembershipRole }) =>
      api.write<AdminUser>('PUT', `/users/${userId}/clients/${clientId}`, { role }),
    refreshes: USERS,
  });

export const useRevokeAccess = () =>
  useWrite({
    send: (api: ApiClient, { userId, clientId }: Access) =>
      api.write<AdminUser>('DELETE', `/users/${userId}/clients/${clientId}`),
    refreshes: USERS,
  });

export const useApproveUser = () =>
  useWrite({
    send: (api: ApiClient, { userId, clientId, role }: Access & { role: MembershipRole }) =>
      api.write<AdminUser>('POST', `/admin/pending-approvals/${userId}/approve`, {
        client_account_id: clientId,
        role,
      }),
    refreshes: USERS,
  });

export const useRejectUser = () =>
  useWrite({
    send: (api: ApiClient, userId: string) =>
      api.write<void>('POST', `/admin/pending-approvals/${userId}/reject`),
    refreshes: USERS,
  });

export const useSaveFlag = () =>
  useWrite({
    send: (api: ApiClient, { key, rule }: { key: string; rule: FlagRule }) =>
      api.write<FeatureFlag>('PUT', `/admin/cache/flags/${key}`, rule),
    refreshes: [['admin', 'cache', 'flags']],
  });

const CONFIGURATION = [['admin', 'cache', 'configuration']] as const;

/** `version`: the one that the change was made of. Should another be in force by now, nothing is changed. */
interface ConfigurationChange {
  reason: string;
  version: number;
}

export const useSaveConfiguration = () =>
  useWrite({
    send: (api: ApiClient, body: ConfigurationChange & { configuration: Configuration }) =>
      api.write<ConfigurationVersion>('PUT', '/admin/cache/configuration', body),
    refreshes: CONFIGURATION,
  });

export const useUndoConfiguration = () =>
  useWrite({
    send: (api: ApiClient, body: ConfigurationChange) =>
      api.write<ConfigurationVersion>('POST', '/admin/cache/configuration/undo', body),
    refreshes: CONFIGURATION,
  });
