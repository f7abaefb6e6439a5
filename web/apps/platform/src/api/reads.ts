// Generated from the server's OpenAPI document by `npm run generate`. Do not edit.
import { defineRead } from '@unstale/client/react';
import type { components, operations } from './schema';
import type { Items } from './types';

type Schemas = components['schemas'];
type Parameters<O extends keyof operations> = NonNullable<operations[O]['parameters']>;
type Field<T, N extends string> = N extends keyof NonNullable<T> ? NonNullable<T>[N] : never;
type Part<O extends keyof operations, P extends string> = P extends keyof Parameters<O> ? Parameters<O>[P] : never;
type Asked<O extends keyof operations, N extends string> =
  | Field<Part<O, 'path'>, N>
  | Field<Part<O, 'query'>, N>;

/** Search the audit trail. `GET /admin/audit` */
export const searchAudit = defineRead<Schemas['AuditPage'], { tenant?: Asked<'search_audit', 'tenant'>; actor?: Asked<'search_audit', 'actor'>; agent?: Asked<'search_audit', 'agent'>; subject?: Asked<'search_audit', 'subject'>; operation?: Asked<'search_audit', 'operation'>; outcome?: Asked<'search_audit', 'outcome'>; entity?: Asked<'search_audit', 'entity'>; key?: Asked<'search_audit', 'key'>; trace_id?: Asked<'search_audit', 'trace_id'>; since?: Asked<'search_audit', 'since'>; until?: Asked<'search_audit', 'until'>; cursor?: Asked<'search_audit', 'cursor'>; limit?: Asked<'search_audit', 'limit'>; format?: Asked<'search_audit', 'format'> }>('/admin/audit', { query: ['tenant', 'actor', 'agent', 'subject', 'operation', 'outcome', 'entity', 'key', 'trace_id', 'since', 'until', 'cursor', 'limit', 'format'] });

/** How the cache is used (platform admins). `GET /admin/cache/configuration` */
export const getCacheConfiguration = defineRead<Schemas['CacheConfiguration']>('/admin/cache/configuration');

/** Versions of the configuration, the newest first (platform admins). `GET /admin/cache/configuration/history` */
export const listCacheConfigurations = defineRead<Items<Schemas['Version']>, { before?: Asked<'list_cache_configurations', 'before'>; limit?: Asked<'list_cache_configurations', 'limit'> }>('/admin/cache/configuration/history', { query: ['before', 'limit'] });

/** Hits that were incorrect, and why (platform admins). `GET /admin/cache/consistency` */
export const getCacheConsistency = defineRead<Schemas['CacheConsistency']>('/admin/cache/consistency');

/** What those who use pages get: the last hour of the node that answers (platform admins). `GET /admin/cache/experience` */
export const getCacheExperience = defineRead<Schemas['CacheExperience']>('/admin/cache/experience');

/** The flags and their rules (platform admins). `GET /admin/cache/flags` */
export const adminListFlags = defineRead<Items<Schemas['FeatureFlag']>>('/admin/cache/flags');

/** The newest changes of a flag (platform admins). `GET /admin/cache/flags/{key}/history` */
export const adminListFlagChanges = defineRead<Items<Schemas['FeatureFlagChange']>, { key: Asked<'admin_list_flag_changes', 'key'> }>('/admin/cache/flags/{key}/history');

/** The keys that were cached lately, the most read first (platform admins). `GET /admin/cache/metadata` */
export const listCacheMetadata = defineRead<Schemas['Page'], { client_id?: Asked<'list_cache_metadata', 'client_id'>; entity_type?: Asked<'list_cache_metadata', 'entity_type'>; entity_id?: Asked<'list_cache_metadata', 'entity_id'>; fresh?: Asked<'list_cache_metadata', 'fresh'>; page?: Asked<'list_cache_metadata', 'page'>; page_size?: Asked<'list_cache_metadata', 'page_size'> }>('/admin/cache/metadata', { query: ['client_id', 'entity_type', 'entity_id', 'fresh', 'page', 'page_size'] });

/** What code of this node forgot to declare wrong since it began, the newest first (platform admins). `GET /admin/cache/omissions` */
export const listCacheOmissions = defineRead<Items<Schemas['CacheOmission']>>('/admin/cache/omissions');

/** How each node did, interval by interval, the newest first (platform admins). `GET /admin/cache/performance` */
export const listCachePerformance = defineRead<Items<Schemas['Performance']>, { from?: Asked<'list_cache_performance', 'from'>; to?: Asked<'list_cache_performance', 'to'>; limit?: Asked<'list_cache_performance', 'limit'> }>('/admin/cache/performance', { query: ['from', 'to', 'limit'] });

/** What was read and loaded, by hour or day, client and kind of entry (platform admins). `GET /admin/cache/statistics` */
export const listCacheStatistics = defineRead<Items<Schemas['Aggregate']>, { from?: Asked<'list_cache_statistics', 'from'>; to?: Asked<'list_cache_statistics', 'to'>; by?: Asked<'list_cache_statistics', 'by'>; entity?: Asked<'list_cache_statistics', 'entity'>; client_id?: Asked<'list_cache_statistics', 'client_id'> }>('/admin/cache/statistics', { query: ['from', 'to', 'by', 'entity', 'client_id'] });

/** The clients the caller administers. `GET /admin/clients` */
export const adminListClients = defineRead<Items<Schemas['Client']>>('/admin/clients');

/** One client. `GET /admin/clients/{client_id}` */
export const adminGetClient = defineRead<Schemas['Client'], { client_id: Asked<'admin_get_client', 'client_id'> }>('/admin/clients/{client_id}');

/** The users of a client. `GET /admin/clients/{client_id}/users` */
export const adminListClientUsers = defineRead<Items<Schemas['AdminUser']>, { client_id: Asked<'admin_list_client_users', 'client_id'> }>('/admin/clients/{client_id}/users');

/** The engagements the caller administers: of the acting client, or all of them. `GET /admin/engagements` */
export const adminListEngagements = defineRead<Items<Schemas['Engagement']>>('/admin/engagements');

/** One engagement. `GET /admin/engagements/{engagement_id}` */
export const adminGetEngagement = defineRead<Schemas['Engagement'], { engagement_id: Asked<'admin_get_engagement', 'engagement_id'> }>('/admin/engagements/{engagement_id}');

/** The users who start in an engagement. `GET /admin/engagements/{engagement_id}/users` */
export const adminListEngagementUsers = defineRead<Items<Schemas['AdminUser']>, { engagement_id: Asked<'admin_list_engagement_users', 'engagement_id'> }>('/admin/engagements/{engagement_id}/users');

/** Those who wait for approval: by the acting client, or all of them. `GET /admin/pending-approvals` */
export const listPendingApprovals = defineRead<Items<Schemas['PendingApproval']>>('/admin/pending-approvals');

/** The users the caller administers: of the acting client, or all of them. `GET /admin/users` */
export const adminListUsers = defineRead<Items<Schemas['AdminUser']>>('/admin/users');

/** What the cache holds about a user (platform admins). `GET /admin/users/{user_id}/cache-report` */
export const getCacheReport = defineRead<Schemas['CacheReport'], { user_id: Asked<'get_cache_report', 'user_id'> }>('/admin/users/{user_id}/cache-report');

/** A page of assets. `GET /assets` */
export const listAssets = defineRead<Schemas['AssetPage'], { engagement_id?: Asked<'list_assets', 'engagement_id'>; import_id?: Asked<'list_assets', 'import_id'>; q?: Asked<'list_assets', 'q'>; page?: Asked<'list_assets', 'page'>; page_size?: Asked<'list_assets', 'page_size'> }>('/assets', { query: ['engagement_id', 'import_id', 'q', 'page', 'page_size'], batch: false });

/** The users of the acting client, last seen first. `GET /auth/active-users` */
export const listActiveUsers = defineRead<Items<Schemas['ActiveUser']>>('/auth/active-users');

/** The clients the caller may act for. `GET /context-establishment/clients` */
export const listOwnClients = defineRead<Items<Schemas['ClientSummary']>>('/context-establishment/clients');

/** The engagements of one of these clients. `GET /context-establishment/engagements` */
export const listOwnEngagements = defineRead<Items<Schemas['Engagement']>, { client_id: Asked<'list_own_engagements', 'client_id'> }>('/context-establishment/engagements', { query: ['client_id'] });

/** `context/me` with every client and engagement to choose from. `GET /context/full` */
export const getContextFull = defineRead<Schemas['ContextFull']>('/context/full', { batch: false });

/** The caller, their client and engagement, and their active flows. `GET /context/me` */
export const getContextMe = defineRead<Schemas['ContextMe']>('/context/me');

/** The caller, their client and what they may do: what every page begins with. `GET /context/standing` */
export const getStanding = defineRead<Schemas['Standing']>('/context/standing');

/** Where the caller starts in the client they act for. `GET /context/start` */
export const getStart = defineRead<Schemas['Start']>('/context/start');

/** How good the values of an import are, and what was corrected in them. `GET /data-cleansing/{import_id}` */
export const getDataQuality = defineRead<Schemas['DataQuality'], { import_id: Asked<'get_data_quality', 'import_id'> }>('/data-cleansing/{import_id}');

/** The acting client's flows. `GET /discovery/flows` */
export const listFlows = defineRead<Items<Schemas['FlowSummary']>, { engagement_id?: Asked<'list_flows', 'engagement_id'>; status?: Asked<'list_flows', 'status'> }>('/discovery/flows', { query: ['engagement_id', 'status'] });

/** One flow, complete. `GET /discovery/flows/{flow_id}` */
export const getFlow = defineRead<Schemas['Flow'], { flow_id: Asked<'get_flow', 'flow_id'> }>('/discovery/flows/{flow_id}');

/** What is kept with a flow. `GET /discovery/flows/{flow_id}/metadata` */
export const getFlowMetadata = defineRead<Schemas['FlowMetadata'], { flow_id: Asked<'get_flow_metadata', 'flow_id'> }>('/discovery/flows/{flow_id}/metadata');

/** How far a flow has come. `GET /discovery/flows/{flow_id}/state` */
export const getFlowState = defineRead<Schemas['FlowState'], { flow_id: Asked<'get_flow_state', 'flow_id'> }>('/discovery/flows/{flow_id}/state');

/** The acting client's engagements. `GET /engagements` */
export const listEngagements = defineRead<Items<Schemas['Engagement']>>('/engagements');

/** One engagement. `GET /engagements/{engagement_id}` */
export const getEngagement = defineRead<Schemas['Engagement'], { engagement_id: Asked<'get_engagement', 'engagement_id'> }>('/engagements/{engagement_id}');

/** An engagement's flows. `GET /engagements/{engagement_id}/flows` */
export const listEngagementFlows = defineRead<Items<Schemas['FlowSummary']>, { engagement_id: Asked<'list_engagement_flows', 'engagement_id'> }>('/engagements/{engagement_id}/flows');

/** How far the review of an engagement's newest completed import has come. `GET /engagements/{engagement_id}/mapping-statistics` */
export const getLatestStatistics = defineRead<Schemas['LatestStatistics'], { engagement_id: Asked<'get_latest_statistics', 'engagement_id'> }>('/engagements/{engagement_id}/mapping-statistics');

/** The mappings of an import, in the order of its columns. `GET /field-mappings/{import_id}` */
export const getFieldMappings = defineRead<Schemas['FieldMappings'], { import_id: Asked<'get_field_mappings', 'import_id'> }>('/field-mappings/{import_id}');

/** How far the review has come. `GET /field-mappings/{import_id}/statistics` */
export const getMappingStatistics = defineRead<Schemas['MappingStatistics'], { import_id: Asked<'get_mapping_statistics', 'import_id'> }>('/field-mappings/{import_id}/statistics');

/** The acting client's imports, newest first. `GET /imports` */
export const listImports = defineRead<Items<Schemas['Import']>, { engagement_id?: Asked<'list_imports', 'engagement_id'> }>('/imports', { query: ['engagement_id'] });

/** One import, as far as it has come. `GET /imports/{import_id}` */
export const getImport = defineRead<Schemas['Import'], { import_id: Asked<'get_import', 'import_id'> }>('/imports/{import_id}');

/** Everything a column can be mapped to. `GET /target-attributes` */
export const listTargetAttributes = defineRead<Items<Schemas['TargetAttribute']>>('/target-attributes');

/** The clients a user has access to. `GET /users/{user_id}/clients` */
export const listUserClients = defineRead<Items<Schemas['Membership']>, { user_id: Asked<'list_user_clients', 'user_id'> }>('/users/{user_id}/clients');

/** Where a user starts. `GET /users/{user_id}/defaults` */
export const getUserDefaults = defineRead<Schemas['UserDefaults'], { user_id: Asked<'get_user_defaults', 'user_id'> }>('/users/{user_id}/defaults');
