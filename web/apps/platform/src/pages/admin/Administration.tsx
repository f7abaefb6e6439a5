import { Group, VisuallyHidden } from '@mantine/core';
import type { Read } from '@unstale/client/react';
import { useEffect, useRef } from 'react';
import { Link, useLocation } from 'react-router';
import { adminEngagements, usePendingApprovals, useUserContext } from '../../api/queries';
import { adminListClients, adminListUsers, listPendingApprovals } from '../../api/reads';
import type { Permission } from '../../api/types';
import { Badge } from '../../components/badges';
import { PageHeader } from '../../components/PageHeader';
import { QueryView } from '../../components/QueryView';
import { Forbidden } from '../../components/states';
import { useIntent } from '../../session/intent';
import { usePermissions } from '../../session/permissions';
import { useClientId } from '../../session/session';
import { Frames } from '../../shell/Frames';
import { usePrepared } from '../../shell/usePrepared';
import { TABS } from '../routes';
import classes from './Administration.module.css';

interface Section {
  to: string;
  label: string;
  needs: Permission;
  /** What the page begins with. */
  reads: (clientId: string | null) => readonly Read<unknown>[];
}

const SECTIONS: readonly Section[] = [
  {
    to: '/admin/users',
    label: 'Users',
    needs: 'users:manage',
    reads: () => [adminListUsers()],
  },
  {
    to: '/admin/approvals',
    label: 'Pending approvals',
    needs: 'users:manage',
    reads: () => [listPendingApprovals()],
  },
  {
    to: '/admin/clients',
    label: 'Clients',
    needs: 'users:manage',
    reads: () => [adminListClients()],
  },
  {
    to: '/admin/engagements',
    label: 'Engagements',
    needs: 'engagements:manage',
    reads: (clientId) => [adminEngagements(clientId)],
  },
  { to: '/admin/flags', label: 'Feature flags', needs: 'clients:manage', reads: () => [] },
  { to: '/admin/cache', label: 'Cache', needs: 'clients:manage', reads: () => [] },
];

const tabOf = (pathname: string) => (pathname.startsWith('/admin/') ? pathname : undefined);

function Tabs() {
  return <Frames routes={TABS} ahead={usePrepared()} keyOf={tabOf} />;
}

export function Page() {
  const context = useUserContext();
  return <QueryView query={context}>{() => <Administration />}</QueryView>;
}

function Administration() {
  const allows = usePermissions();
  const { pathname } = useLocation();
  const clientId = useClientId();
  const onIntent = useIntent();
  const sections = SECTIONS.filter(({ needs }) => allows(needs));
  const current = SECTIONS.find(({ to }) => to === pathname);
  const pending = usePendingApprovals(allows('users:manage'));
  const pendingCount = pending.data?.items.length ?? 0;
  const tabs = useRef<HTMLElement>(null);

  // On a phone not all of them fit side by side.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page is another tab, and a count takes room
  useEffect(() => {
    const tab = tabs.current?.querySelector('[aria-current="page"]');
    tab?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [pathname, pendingCount]);

  if (sections.length === 0)
    return <Forbidden detail="Administration is for administrators of a client or of the platform." />;
  return (
    <>
      <PageHeader title="Administration" />
      <nav className={classes.tabs} aria-label="Administration" ref={tabs}>
        {sections.map(({ to, label, reads }) => (
          <Link
            key={to}
            to={to}
            className={classes.tab}
            aria-current={pathname === to ? 'page' : undefined}
            {...onIntent(to, reads(clientId))}
          >
            <Group gap={8} wrap="nowrap">
              {label}
              {to === '/admin/approvals' && pendingCount > 0 && (
                <Badge tone="attention">
                  {pendingCount}
                  <VisuallyHidden> waiting</VisuallyHidden>
                </Badge>
              )}
            </Group>
          </Link>
        ))}
      </nav>
      {current && !allows(current.needs) ? <Forbidden /> : <Tabs />}
    </>
  );
}
