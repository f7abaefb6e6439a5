/** Wire types of the platform API, under the names of its contract. */

export type UserStatus = 'active' | 'pending' | 'disabled';
export type Role = 'client_admin' | 'analyst' | 'platform_admin';
/** The roles that can be given within a client. */
export type MembershipRole = Exclude<Role, 'platform_admin'>;
export type EngagementStatus = 'planned' | 'active' | 'completed';
export type FlowStatus = 'draft' | 'running' | 'awaiting_review' | 'completed' | 'cancelled';
export type FlowPhase = 'data_import' | 'field_mapping' | 'data_cleansing' | 'asset_inventory';
export type StepStatus = 'pending' | 'active' | 'done';
export type ImportStatus = 'queued' | 'reading' | 'mapping' | 'completed' | 'failed';
export type MappingStatus = 'suggested' | 'approved' | 'rejected';
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

export interface User {
  id: string;
  email: string;
  name: string;
  status: UserStatus;
  is_platform_admin: boolean;
  created_at: string;
}

export interface Membership {
  client_account_id: string;
  client_name: string;
  role: Role;
}

export interface ClientSummary {
  id: string;
  name: string;
  slug: string;
  industry: string | null;
  role: Role | null;
  engagement_count: number;
}

export interface Client {
  id: string;
  name: string;
  slug: string;
  industry: string | null;
  description: string | null;
  created_at: string;
  updated_at: string;
  engagement_count: number;
  user_count: number;
}

export interface Engagement {
  id: string;
  client_account_id: string;
  client_name: string;
  name: string;
  description: string | null;
  status: EngagementStatus;
  starts_on: string | null;
  ends_on: string | null;
  created_at: string;
  updated_at: string;
  flow_count: number;
}

export interface FlowSummary {
  id: string;
  client_account_id: string;
  engagement_id: string;
  engagement_name: string;
  owner_id: string;
  owner_name: string;
  name: string;
  status: FlowStatus;
  phase: FlowPhase;
  progress_percent: number;
  import_id: string | null;
  updated_at: string;
}

export interface Flow extends FlowSummary {
  created_at: string;
  metadata: Record<string, unknown>;
}

export interface FlowStep {
  phase: FlowPhase;
  status: StepStatus;
  detail: string | null;
}

export interface FlowState {
  flow_id: string;
  status: FlowStatus;
  phase: FlowPhase;
  progress_percent: number;
  steps: FlowStep[];
  updated_at: string;
}

export interface ImportError {
  code: string;
  message: string;
  row: number | null;
  column: string | null;
}

export interface Import {
  id: string;
  client_account_id: string;
  engagement_id: string;
  flow_id: string;
  file_name: string;
  size_bytes: number;
  status: ImportStatus;
  rows_total: number | null;
  rows_done: number;
  columns: number | null;
  encoding: string | null;
  delimiter: string | null;
  /** `azure_migrate`, `aws_migration_hub` or `unknown`. */
  format: string | null;
  error: ImportError | null;
  created_by: string;
  created_at: string;
  finished_at: string | null;
}

export interface ImportAccepted {
  import_id: string;
  flow_id: string;
}

export interface FieldMapping {
  id: string;
  import_id: string;
  position: number;
  source_column: string;
  target_attribute: string | null;
  confidence: number;
  reason: string;
  status: MappingStatus;
  sample_values: string[];
  /** The reviewer's user id. */
  reviewed_by: string | null;
  reviewed_at: string | null;
  updated_at: string;
}

export interface FieldMappings {
  import_id: string;
  file_name: string;
  engagement_id: string;
  items: FieldMapping[];
}

export interface MappingStatistics {
  import_id: string;
  total: number;
  suggested: number;
  approved: number;
  rejected: number;
  unmapped: number;
  average_confidence: number;
  approved_percent: number;
}

export interface BulkReviewResult {
  updated: number;
  statistics: MappingStatistics;
}

export interface TargetAttribute {
  name: string;
  label: string;
  data_type: string;
  description: string;
  required: boolean;
}

export interface Asset {
  id: string;
  engagement_id: string;
  import_id: string;
  row_number: number;
  name: string | null;
  attributes: Record<string, string>;
  unmapped: Record<string, string>;
}

export interface AssetColumn {
  name: string;
  label: string;
}

export interface AssetPage extends Items<Asset> {
  total: number;
  page: number;
  page_size: number;
  columns: AssetColumn[];
}

export interface AdminUser {
  id: string;
  email: string;
  name: string;
  status: UserStatus;
  is_platform_admin: boolean;
  memberships: Membership[];
  created_at: string;
  last_seen_at: string | null;
}

export interface ActiveUser {
  id: string;
  email: string;
  name: string;
  memberships: Membership[];
  is_platform_admin: boolean;
  last_seen_at: string | null;
}

export interface PendingApproval {
  user_id: string;
  email: string;
  name: string;
  requested_client: string | null;
  reason: string | null;
  requested_at: string;
}

export interface UserDefaults {
  user_id: string;
  client_account_id: string | null;
  engagement_id: string | null;
}

export interface ContextMe {
  user: User;
  client: ClientSummary | null;
  engagement: Engagement | null;
  active_flows: FlowSummary[];
  role: Role | null;
  permissions: string[];
}

export interface ContextFull extends ContextMe {
  clients: ClientSummary[];
  engagements: Engagement[];
}

export interface LoginResult {
  access_token: string;
  token_type: string;
  expires_in: number;
  user: User;
}
