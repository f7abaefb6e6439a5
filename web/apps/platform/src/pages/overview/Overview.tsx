import { Box, Button, Group, Progress, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { IconDatabaseImport } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { useAssetCount, useEngagement, useFlows, useImports, useLatestStatistics } from '../../api/queries';
import type { FlowSummary, Import } from '../../api/types';
import { EngagementBadge, FlowBadge, ImportBadge, ProgressCell } from '../../components/badges';
import { Figure } from '../../components/Figure';
import { PageHeader } from '../../components/PageHeader';
import { QueryView } from '../../components/QueryView';
import { Notice, SkeletonRows } from '../../components/states';
import { TimeAgo } from '../../components/TimeAgo';
import { formatNumber, formatPercent, formatPeriod, phaseLabel, plural } from '../../lib/format';
import { useEngagementId } from '../../session/session';
import classes from './Overview.module.css';

export function Page() {
  const engagementId = useEngagementId() ?? '';
  return (
    <>
      {/* Beside each other, so that all of it is asked for at once. */}
      <Header engagementId={engagementId} />
      <Figures engagementId={engagementId} />
      <div className={classes.columns}>
        <Flows engagementId={engagementId} />
        <RecentImports engagementId={engagementId} />
      </div>
    </>
  );
}

function Header({ engagementId }: { engagementId: string }) {
  const engagement = useEngagement(engagementId);
  return (
    <QueryView query={engagement} loading={<SkeletonRows rows={2} />}>
      {(data) => (
        <PageHeader
          title={data.name}
          description={
            <Group gap="xs">
              <EngagementBadge status={data.status} />
              <Text span c="dimmed" size="sm">
                {[data.client_name, formatPeriod(data.starts_on, data.ends_on)].filter(Boolean).join(' · ')}
              </Text>
            </Group>
          }
          actions={
            <Button component={Link} to="/imports" leftSection={<IconDatabaseImport size={17} />}>
              Import an inventory
            </Button>
          }
        />
      )}
    </QueryView>
  );
}

function Figures({ engagementId }: { engagementId: string }) {
  const flows = useFlows(engagementId);
  const assets = useAssetCount(engagementId);
  const latest = useLatestStatistics(engagementId);
  const open = flows.data?.items.filter(
    ({ status }) => status === 'running' || status === 'awaiting_review',
  ).length;
  const mappings = latest.data?.statistics;

  return (
    <SimpleGrid cols={{ base: 2, lg: 4 }} spacing={{ base: 'sm', sm: 'md' }} mb="lg">
      <Figure
        label="Assets"
        value={assets.data && formatNumber(assets.data.total)}
        note="in the inventory"
        pending={assets.isPending}
      />
      <Figure
        label="Open flows"
        value={open?.toString()}
        note={flows.data && `of ${plural(flows.data.items.length, 'flow')}`}
        pending={flows.isPending}
      />
      <Figure
        label="Mappings to review"
        value={mappings?.suggested.toString() ?? '0'}
        note={mappings ? `of ${plural(mappings.total, 'column')} in the latest import` : 'no import yet'}
        pending={latest.isPending}
      />
      <Figure
        label="Approved"
        value={formatPercent(mappings?.approved_percent ?? 0)}
        note={
          <Progress value={mappings?.approved_percent ?? 0} size={6} mt={8} aria-label="Approved mappings" />
        }
        pending={latest.isPending}
      />
    </SimpleGrid>
  );
}

interface SectionProps {
  title: string;
  to: string;
  children: ReactNode;
}

function Section({ title, to, children }: SectionProps) {
  return (
    <Box component="section" className="card" aria-label={title} miw={0}>
      <Group justify="space-between" px="md" py="sm" className={classes.sectionHead}>
        <Title order={2} fz="md">
          {title}
        </Title>
        <Link to={to} className={classes.all}>
          Show all
        </Link>
      </Group>
      {children}
    </Box>
  );
}

const SHOWN_MAX = 6;

function Flows({ engagementId }: { engagementId: string }) {
  const flows = useFlows(engagementId);
  return (
    <Section title="Discovery flows" to="/flows">
      <QueryView query={flows} loading={<SkeletonRows rows={3} />}>
        {({ items }) =>
          items.length === 0 ? (
            <Notice
              icon={<IconDatabaseImport size={26} />}
              title="Nothing discovered yet"
              action={
                <Button component={Link} to="/imports">
                  Import a CSV file
                </Button>
              }
            >
              Importing the export of your discovery tool starts the first flow.
            </Notice>
          ) : (
            <ul className={classes.list}>
              {items.slice(0, SHOWN_MAX).map((flow) => (
                <FlowItem key={flow.id} flow={flow} />
              ))}
            </ul>
          )
        }
      </QueryView>
    </Section>
  );
}

function FlowItem({ flow }: { flow: FlowSummary }) {
  return (
    <li className={classes.item}>
      <Stack gap={2} miw={0} style={{ flex: 1 }}>
        <Link to={`/flows/${flow.id}`} className="plain-link">
          {flow.name}
        </Link>
        <Text size="xs" c="dimmed">
          {phaseLabel[flow.phase]} · {flow.owner_name} · <TimeAgo at={flow.updated_at} />
        </Text>
      </Stack>
      <Stack gap={6} align="flex-end">
        <FlowBadge status={flow.status} />
        <ProgressCell percent={flow.progress_percent} label={`Progress of ${flow.name}`} />
      </Stack>
    </li>
  );
}

function RecentImports({ engagementId }: { engagementId: string }) {
  const imports = useImports(engagementId);
  return (
    <Section title="Recent imports" to="/imports">
      <QueryView query={imports} loading={<SkeletonRows rows={3} />}>
        {({ items }) =>
          items.length === 0 ? (
            <Text c="dimmed" size="sm" p="md">
              No file has been imported yet.
            </Text>
          ) : (
            <ul className={classes.list}>
              {items.slice(0, SHOWN_MAX).map((item) => (
                <ImportItem key={item.id} item={item} />
              ))}
            </ul>
          )
        }
      </QueryView>
    </Section>
  );
}

function ImportItem({ item }: { item: Import }) {
  return (
    <li className={classes.item}>
      <Stack gap={2} miw={0} style={{ flex: 1 }}>
        <Link to={`/imports/${item.id}`} className="plain-link" style={{ overflowWrap: 'anywhere' }}>
          {item.file_name}
        </Link>
        <Text size="xs" c="dimmed">
          {item.rows_total === null ? 'rows not counted yet' : plural(item.rows_total, 'row')} ·{' '}
          <TimeAgo at={item.created_at} />
        </Text>
      </Stack>
      <ImportBadge status={item.status} />
    </li>
  );
}
