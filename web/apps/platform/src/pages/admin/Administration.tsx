import { Group, VisuallyHidden } from '@mantine/core';
import { Link, Outlet, useLocation } from 'react-router';
import { usePendingApprovals, useUserContext } from '../../api/queries';
import type { Permission } from '../../api/types';
import { Badge } from '../../components/badges';
import { PageHeader } from '../../components/PageHeader';
import { QueryView } from '../../components/QueryView';
import { Forbidden } from '../../components/states';
import { usePermissions } from '../../session/permissions';
import classes from './Administration.module.css';

const SECTIONS: readonly { to: string; label: string; needs: Permission }[] = [
  { to: '/admin/users', label: 'Users', needs: 'users:manage' },
  { to: '/admin/approvals', label: 'Pending approvals', needs: 'users:manage' },
  { to: '/admin/clients', label: 'Clients', needs: 'users:manage' },
  { to: '/admin/engagements', label: 'Engagements', needs: 'engagements:manage' },
  { to: '/admin/flags', label: 'Feature flags', needs: 'clients:manage' },
  { to: '/admin/cache', label: 'Cache', needs: 'clients:manage' },
];

export function Page() {
  const context = useUserContext();
  return <QueryView query={context}>{() => <Administration />}</QueryView>;
}

function Administration() {
  const allows = usePermissions();
  const { pathname } = useLocation();
  const sections = SECTIONS.filter(({ needs }) => allows(needs));
  const current = SECTIONS.find(({ to }) => to === pathname);
  const pending = usePendingApprovals(allows('users:manage'));
  const pendingCount = pending.data?.items.length ?? 0;

  if (sections.length === 0)
    return <Forbidden detail="Administration is for administrators of a client or of the platform." />;
  return (
    <>
      <PageHeader title="Administration" />
      <nav className={classes.tabs} aria-label="Administration">
        {sections.map(({ to, label }) => (
          <Link key={to} to={to} className={classes.tab} aria-current={pathname === to ? 'page' : undefined}>
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
      {current && !allows(current.needs) ? <Forbidden /> : <Outlet />}
    </>
  );
}
