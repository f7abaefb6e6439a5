import { AppShell, Box, Burger, Group, NavLink, Stack } from '@mantine/core';
import { useCoherentSession } from '@unstale/client/react';
import { useEffect } from 'react';
import { Link, Outlet, useLocation } from 'react-router';
import { Logo } from '../components/Logo';
import { loadAhead } from '../lib/ahead';
import { loadPage, type PageName } from '../pages/pages';
import { useIntent } from '../session/intent';
import { usePermissions } from '../session/permissions';
import { setNavigationOpen, useClientId, useEngagementId, useNavigationOpen } from '../session/session';
import { ColorSchemeToggle } from './ColorSchemeToggle';
import { ConnectionBadge } from './ConnectionBadge';
import { ConnectionBanner } from './ConnectionBanner';
import { ContextSwitcher } from './ContextSwitcher';
import { Devtools } from './Devtools';
import { type NavigationItem, shownTo } from './navigation';
import classes from './Shell.module.css';
import { UserMenu } from './UserMenu';

export function Shell() {
  const navigationOpen = useNavigationOpen();
  return (
    <AppShell
      header={{ height: 60 }}
      navbar={{ width: 232, breakpoint: 'md', collapsed: { mobile: !navigationOpen } }}
      padding={{ base: 'md', sm: 'xl' }}
      classNames={{ header: classes.header ?? '', navbar: classes.navbar ?? '' }}
    >
      <a href="#content" className="skip-link">
        Skip to the content
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" gap="md" wrap="nowrap">
          <Burger
            opened={navigationOpen}
            onClick={() => setNavigationOpen(!navigationOpen)}
            hiddenFrom="md"
            size="sm"
            aria-label={navigationOpen ? 'Close the navigation' : 'Open the navigation'}
            aria-expanded={navigationOpen}
          />
          <Box visibleFrom="md" w={200}>
            <Link to="/overview" className={classes.home} aria-label="Unstale Migrate, overview">
              <Logo />
            </Link>
          </Box>
          <ContextSwitcher />
          <Group gap={6} ml="auto" wrap="nowrap">
            <ConnectionBadge />
            <Box visibleFrom="xs">
              <ColorSchemeToggle />
            </Box>
            <UserMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="sm">
        <Navigation onChosen={() => setNavigationOpen(false)} />
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1} className={classes.main ?? ''}>
        <div className={classes.page}>
          <ConnectionBanner />
          <Outlet />
        </div>
      </AppShell.Main>
      <Devtools />
    </AppShell>
  );
}

function Navigation({ onChosen }: { onChosen: () => void }) {
  const { pathname } = useLocation();
  const allows = usePermissions();
  const hasClient = useClientId() !== null;
  const engagementId = useEngagementId();
  const shown = shownTo(allows, hasClient);
  usePagesAhead(shown);
  return (
    <Stack component="div" gap={2}>
      {shown.map((item) => (
        <Item
          key={item.to}
          item={item}
          active={isSection(pathname, item.section ?? item.to)}
          engagementId={engagementId}
          onChosen={onChosen}
        />
      ))}
    </Stack>
  );
}

/** The code of what there is to go to, as soon as the first page shows its data. */
function usePagesAhead(shown: readonly NavigationItem[]): void {
  const { queryClient } = useCoherentSession();
  // Another order or another filter of the same is no reason to begin anew.
  const names = shown.flatMap(({ page, leadsTo = [] }) => [page, ...leadsTo]).join(' ');
  useEffect(() => {
    const parts = names.split(' ').map((name) => () => loadPage(name as PageName));
    return loadAhead(parts, () => queryClient.isFetching() + queryClient.isMutating() > 0);
  }, [names, queryClient]);
}

interface ItemProps {
  item: NavigationItem;
  active: boolean;
  engagementId: string | null;
  onChosen: () => void;
}

/** By itself, so that of all of them two change when another page is shown. */
function Item({ item: { to, label, icon: Icon, reads }, active, engagementId, onChosen }: ItemProps) {
  const onIntent = useIntent();
  return (
    <NavLink
      component={Link}
      to={to}
      label={label}
      leftSection={<Icon size={19} stroke={1.6} aria-hidden />}
      active={active}
      aria-current={active ? 'page' : undefined}
      onClick={onChosen}
      {...onIntent(to, engagementId === null ? [] : reads(engagementId))}
      className={classes.item ?? ''}
    />
  );
}

/** Pages of an import that have an entry of their own, although their address is below the imports. */
const STEPS_OF_IMPORTS = ['/mappings', '/cleansing'];

function isSection(pathname: string, to: string): boolean {
  const step = STEPS_OF_IMPORTS.find((step) => pathname.startsWith('/imports/') && pathname.endsWith(step));
  if (step !== undefined) return to === step;
  return pathname === to || pathname.startsWith(`${to}/`);
}
