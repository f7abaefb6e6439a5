import {
  IconArrowsExchange,
  IconDatabaseImport,
  IconLayoutDashboard,
  IconRoute,
  IconServer2,
  IconShieldCog,
} from '@tabler/icons-react';
import type { Permission } from '../api/types';

export interface NavigationItem {
  to: string;
  label: string;
  icon: typeof IconRoute;
  /** Shown to whoever has one of these; without it, to everyone. */
  anyOf?: readonly Permission[];
  needsClient: boolean;
}

export const NAVIGATION: readonly NavigationItem[] = [
  { to: '/overview', label: 'Overview', icon: IconLayoutDashboard, needsClient: true },
  { to: '/flows', label: 'Discovery flows', icon: IconRoute, needsClient: true },
  { to: '/imports', label: 'Data import', icon: IconDatabaseImport, needsClient: true },
  { to: '/mappings', label: 'Field mappings', icon: IconArrowsExchange, needsClient: true },
  { to: '/inventory', label: 'Asset inventory', icon: IconServer2, needsClient: true },
  {
    to: '/admin',
    label: 'Administration',
    icon: IconShieldCog,
    anyOf: ['users:manage', 'engagements:manage', 'clients:manage'],
    needsClient: false,
  },
];
