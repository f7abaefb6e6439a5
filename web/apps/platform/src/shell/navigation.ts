import {
  IconArrowsExchange,
  IconDatabaseImport,
  IconLayoutDashboard,
  IconRoute,
  IconServer2,
  IconShieldCog,
  IconSparkles,
} from '@tabler/icons-react';
import type { Read } from '@unstale/client/react';
import { assetCount, assetPage } from '../api/queries';
import * as reads from '../api/reads';
import type { Permission } from '../api/types';
import type { PageName } from '../pages/pages';

export interface NavigationItem {
  to: string;
  /** Below it are pages of the same entry; `to` itself, if it is not said. */
  section?: string;
  label: string;
  icon: typeof IconRoute;
  /** Shown to whoever has one of these; without it, to everyone. */
  anyOf?: readonly Permission[];
  needsClient: boolean;
  page: PageName;
  /** Pages that it leads to. */
  leadsTo?: readonly PageName[];
  /** What the page begins with, read when somebody is about to go there. */
  reads: (engagementId: string) => readonly Read<unknown>[];
}

/** What is shown to whoever may do that, with a client to work for or without. */
export const shownTo = (allows: (permission: Permission) => boolean, hasClient: boolean) =>
  NAVIGATION.filter((item) => (hasClient || !item.needsClient) && (!item.anyOf || item.anyOf.some(allows)));

const flows = (engagementId: string) => [reads.listFlows({ engagement_id: engagementId })];
const imports = (engagementId: string) => [reads.listImports({ engagement_id: engagementId })];
const inventory = (engagementId: string) => [
  ...imports(engagementId),
  assetPage({ engagementId, importId: null, search: '', page: 1 }),
];

export const overview = (engagementId: string): readonly Read<unknown>[] => [
  ...flows(engagementId),
  ...imports(engagementId),
  assetCount(engagementId),
  reads.getLatestStatistics({ engagement_id: engagementId }),
];

export const NAVIGATION: readonly NavigationItem[] = [
  {
    to: '/overview',
    label: 'Overview',
    icon: IconLayoutDashboard,
    needsClient: true,
    page: 'overview',
    reads: overview,
  },
  {
    to: '/flows',
    label: 'Discovery flows',
    icon: IconRoute,
    needsClient: true,
    page: 'flows',
    leadsTo: ['flow'],
    reads: flows,
  },
  {
    to: '/imports',
    label: 'Data import',
    icon: IconDatabaseImport,
    needsClient: true,
    page: 'imports',
    leadsTo: ['import', 'review'],
    reads: imports,
  },
  {
    to: '/mappings',
    label: 'Field mappings',
    icon: IconArrowsExchange,
    needsClient: true,
    page: 'mappings',
    reads: imports,
  },
  {
    to: '/cleansing',
    label: 'Data cleansing',
    icon: IconSparkles,
    needsClient: true,
    page: 'latestCleansing',
    leadsTo: ['cleansing'],
    reads: imports,
  },
  {
    to: '/inventory',
    label: 'Asset inventory',
    icon: IconServer2,
    needsClient: true,
    page: 'inventory',
    reads: inventory,
  },
  {
    to: '/admin/users',
    section: '/admin',
    label: 'Administration',
    icon: IconShieldCog,
    anyOf: ['users:manage', 'engagements:manage', 'clients:manage'],
    needsClient: false,
    page: 'administration',
    leadsTo: ['users', 'approvals', 'clients', 'engagements'],
    // Its tabs lie beside each other, and what the last of them shows every page holds: all of it in one request.
    reads: () => [reads.adminListUsers(), reads.listPendingApprovals(), reads.adminListClients()],
  },
];
