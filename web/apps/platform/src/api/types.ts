/**
 * Wire types of the platform API: names for the generated ones.
 *
 * `schema.d.ts` is generated from the server's OpenAPI document (`npm run generate`); nothing is declared twice.
 */
import type { components } from './schema';

type Schemas = components['schemas'];

export type UserStatus = Schemas['UserStatus'];
export type Role = Schemas['Role'];
/** The roles that can be given within a client. */
export type MembershipRole = Exclude<Role, 'platform_admin'>;
export type EngagementStatus = Schemas['EngagementStatus'];
export type FlowStatus = Schemas['FlowStatus'];
export type FlowPhase = Schemas['FlowPhase'];
export type StepStatus = Schemas['StepStatus'];
export type ImportStatus = Schemas['ImportStatus'];
export type MappingStatus = Schemas['MappingStatus'];
/** What the server may put into `permissions`; the document knows them as words only. */
export type Permission =
  | 'clients:manage'
  | 'engagements:manage'
  | 'users:manage'
  | 'flows:write'
  | 'imports:write'
  | 'mappings:review';

export interface Items<T> {
  items: T[];
}

export type User = Schemas['User'];
export type Membership = Schemas['Membership'];
export type ClientSummary = Schemas['ClientSummary'];
export type Client = Schemas['Client'];
export type Engagement = Schemas['Engagement'];
export type FlowSummary = Schemas['FlowSummary'];
export type Flow = Schemas['Flow'];
export type FlowStep = Schemas['FlowStep'];
export type FlowState = Schemas['FlowState'];
export type ImportError = Schemas['ImportError'];
export type Import = Schemas['Import'];
export type ImportAccepted = Schemas['ImportAccepted'];
export type FieldMapping = Schemas['FieldMapping'];
export type FieldMappings = Schemas['FieldMappings'];
export type MappingStatistics = Schemas['MappingStatistics'];
export type BulkReviewResult = Schemas['BulkDone'];
export type TargetAttribute = Schemas['TargetAttribute'];
export type Asset = Schemas['Asset'];
export type AssetColumn = Schemas['AssetColumn'];
export type AssetPage = Schemas['AssetPage'];
export type DataType = Schemas['DataType'];
export type IssueKind = Schemas['IssueKind'];
export type QualityIssue = Schemas['QualityIssue'];
export type AttributeQuality = Schemas['AttributeQuality'];
/** A value that stands for another in a column. */
export type ValueCorrection = Schemas['ValueCorrection'];
export type DataQuality = Schemas['DataQuality'];
/** What is to stand for a value. */
export type Correction = Schemas['CorrectionRequest'];
export type ValuesCorrected = Schemas['ValuesCorrected'];
export type AdminUser = Schemas['AdminUser'];
export type ActiveUser = Schemas['ActiveUser'];
export type PendingApproval = Schemas['PendingApproval'];
export type UserDefaults = Schemas['UserDefaults'];
export type ContextMe = Schemas['ContextMe'];
export type Standing = Schemas['Standing'];
export type Start = Schemas['Start'];
export type LatestStatistics = Schemas['LatestStatistics'];
export type ContextFull = Schemas['ContextFull'];
export type LoginResult = Schemas['SignedIn'];

export type FeatureFlag = Schemas['FeatureFlag'];
export type FeatureFlagChange = Schemas['FeatureFlagChange'];
export type FlagRule = Schemas['Rule'];
export type CacheAggregate = Schemas['Aggregate'];
export type CachePerformance = Schemas['Performance'];
export type CacheConsistency = Schemas['CacheConsistency'];
export type CacheExperience = Schemas['CacheExperience'];
export type CacheFinding = Schemas['Finding'];
export type CacheOmission = Schemas['CacheOmission'];
/** What administrators say of the cache, and what of it can be said. */
export type CacheConfiguration = Schemas['CacheConfiguration'];
export type Configuration = Schemas['Configuration'];
export type EntrySettings = Schemas['EntrySettings'];
export type EndpointSettings = Schemas['EndpointSettings'];
export type Configurable = Schemas['Configurable'];
export type ConfigurationVersion = Schemas['Version'];
