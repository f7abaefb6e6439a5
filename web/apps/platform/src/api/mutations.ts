import { useMutation } from '@tanstack/react-query';
import type { ApiClient } from '@unstale/client';
import { type CoherentSession, useCoherentSession } from '@unstale/client/react';
import type {
  AdminUser,
  Client,
  Engagement,
  EngagementStatus,
  FieldMapping,
  Flow,
  FlowStatus,
  MembershipRole,
} from './types';

/**
 * After a write the writer must see it at once. While live, the pushed event names exactly what changed, so
 * only the page's own queries are refreshed ahead of it; without the socket everything counts as changed.
 */
export async function refreshAfterWrite(
  session: CoherentSession,
  names: readonly (readonly unknown[])[],
): Promise<void> {
  if (session.coherence.state !== 'live') return session.refreshAfterWrite({});
  await Promise.all(
    names.map((name) => session.refreshAfterWrite({ queryKey: [...session.scope, ...name] })),
  );
}

function useWrite<V, T>(
  send: (api: ApiClient, variables: V) => Promise<{ data: T }>,
  refreshes: readonly (readonly unknown[])[],
) {
  const session = useCoherentSession();
  return useMutation({
    mutationFn: async (variables: V) => (await send(session.api, variables)).data,
    onSuccess: () => refreshAfterWrite(session, refreshes),
  });
}

const FLOWS = [['flows'], ['context', 'me']] as const;
const MAPPINGS = [['field-mappings'], ['assets']] as const;
const USERS = [
  ['admin', 'users'],
  ['admin', 'pending-approvals'],
] as const;
const ENGAGEMENTS = [['admin', 'engagements'], ['context', 'engagements'], ['engagements']] as const;
const CLIENTS = [
  ['admin', 'clients'],
  ['context', 'clients'],
] as const;

export const useCreateFlow = () =>
  useWrite(
    (api, body: { engagement_id: string; name: string }) => api.write<Flow>('POST', '/discovery/flows', body),
    FLOWS,
  );

export const useUpdateFlow = (flowId: string) =>
  useWrite(
    (api, body: { name?: string; status?: FlowStatus }) =>
      api.write<Flow>('PATCH', `/discovery/flows/${flowId}`, body),
    FLOWS,
  );

export const useDeleteFlow = () =>
  useWrite((api, flowId: string) => api.write<void>('DELETE', `/discovery/flows/${flowId}`), FLOWS);

export const useChooseTarget = (importId: string) =>
  useWrite(
    (api, { mappingId, target }: { mappingId: string; target: string | null }) =>
      api.write<FieldMapping>('PATCH', `/field-mappings/${importId}/${mappingId}`, {
        target_attribute: target,
      }),
    MAPPINGS,
  );

export interface EngagementInput {
  client_account_id?: string;
  name: string;
  description: string | null;
  status: EngagementStatus;
  starts_on: string | null;
  ends_on: string | null;
}

export const useSaveEngagement = () =>
  useWrite(
    (api, { id, ...body }: EngagementInput & { id: string | null }) =>
      id === null
        ? api.write<Engagement>('POST', '/admin/engagements', body)
        : api.write<Engagement>('PUT', `/admin/engagements/${id}`, body),
    ENGAGEMENTS,
  );

interface Removal {
  id: string;
  cascade: boolean;
}

export const useDeleteEngagement = () =>
  useWrite(
    (api, { id, cascade }: Removal) =>
      api.write<void>('DELETE', `/admin/engagements/${id}`, undefined, {
        query: { cascade: cascade || null },
      }),
    ENGAGEMENTS,
  );

export interface ClientInput {
  name: string;
  industry: string | null;
  description: string | null;
}

export const useSaveClient = () =>
  useWrite(
    (api, { id, ...body }: ClientInput & { id: string | null }) =>
      id === null
        ? api.write<Client>('POST', '/admin/clients', body)
        : api.write<Client>('PUT', `/admin/clients/${id}`, body),
    CLIENTS,
  );

export const useDeleteClient = () =>
  useWrite(
    (api, { id, cascade }: Removal) =>
      api.write<void>('DELETE', `/admin/clients/${id}`, undefined, { query: { cascade: cascade || null } }),
    CLIENTS,
  );

interface Access {
  userId: string;
  clientId: string;
}

export const useSetRole = () =>
  useWrite(
    (api, { userId, clientId, role }: Access & { role: MembershipRole }) =>
      api.write<AdminUser>('PUT', `/users/${userId}/roles`, { role, client_account_id: clientId }),
    USERS,
  );

export const useGrantAccess = () =>
  useWrite(
    (api, { userId, clientId, role }: Access & { role: MembershipRole }) =>
      api.write<AdminUser>('PUT', `/users/${userId}/clients/${clientId}`, { role }),
    USERS,
  );

export const useRevokeAccess = () =>
  useWrite(
    (api, { userId, clientId }: Access) =>
      api.write<AdminUser>('DELETE', `/users/${userId}/clients/${clientId}`),
    USERS,
  );

export const useApproveUser = () =>
  useWrite(
    (api, { userId, clientId, role }: Access & { role: MembershipRole }) =>
      api.write<AdminUser>('POST', `/admin/pending-approvals/${userId}/approve`, {
        client_account_id: clientId,
        role,
      }),
    USERS,
  );

export const useRejectUser = () =>
  useWrite(
    (api, userId: string) => api.write<void>('POST', `/admin/pending-approvals/${userId}/reject`),
    USERS,
  );
