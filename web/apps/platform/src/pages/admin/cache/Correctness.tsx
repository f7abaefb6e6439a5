import { Box, Group, Stack, Text } from '@mantine/core';
import { IconAlertTriangle, IconShieldCheck } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { useCacheConsistency, useCacheOmissions, useCachePerformance } from '../../../api/queries';
import type { CacheFinding, CacheOmission } from '../../../api/types';
import { Badge } from '../../../components/badges';
import { type Column, DataTable } from '../../../components/DataTable';
import { QueryView } from '../../../components/QueryView';
import { Section } from '../../../components/Section';
import { TimeAgo } from '../../../components/TimeAgo';
import { formatNumber, plural } from '../../../lib/format';

const findingColumns: [Column<CacheFinding>, ...Column<CacheFinding>[]] = [
  {
    key: 'key',
    header: 'What was incorrect',
    render: ({ key, differs }) => (
      <Stack gap={2} maw="34rem">
        <Text size="sm" className="mono" style={{ overflowWrap: 'anywhere', whiteSpace: 'normal' }}>
          {key}
        </Text>
        {differs.length > 0 && (
          <Text size="xs" c="dimmed" style={{ whiteSpace: 'normal' }}>
            in {differs.join(', ')}
          </Text>
        )}
      </Stack>
    ),
  },
  {
    key: 'kind',
    header: 'Why',
    render: ({ kind, tags }) =>
      kind === 'rule'
        ? 'It was served although it was known to be invalid'
        : why(tags.some(({ clock }) => clock !== null)),
  },
  { key: 'tier', header: 'From', render: ({ tier }) => tier },
  { key: 'found', header: 'Found', render: ({ found_at }) => <TimeAgo at={found_at} /> },
];

const why = (wasInvalidated: boolean) =>
  wasInvalidated ? 'Loaded anew, and still not what is true' : 'A change of it was not declared';

const omissionColumns: [Column<CacheOmission>, ...Column<CacheOmission>[]] = [
  {
    key: 'tag',
    header: 'What code forgot to declare',
    render: ({ tag }) => (
      <Text size="sm" className="mono">
        {tag}
      </Text>
    ),
  },
  { key: 'statement', header: 'Changed by', render: ({ statement, table }) => `${statement} of ${table}` },
  { key: 'count', header: 'Times', align: 'right', render: ({ count }) => formatNumber(count) },
  { key: 'seen', header: 'Last seen', render: ({ last_seen }) => <TimeAgo at={last_seen} /> },
];

/** What the watch has found, and what triggers said because code did not. */
export function Correctness() {
  const consistency = useCacheConsistency();
  const omissions = useCacheOmissions();
  const performance = useCachePerformance();
  const checks = performance.data?.items.reduce((sum, row) => sum + row.checks, 0) ?? 0;
  return (
    <Section title="Whether it is right" note="Some hits are loaded again and compared with what was served.">
      <Stack gap="sm">
        <QueryView query={consistency}>
          {({ findings }) =>
            findings.length === 0 ? (
              <Well>
                No answer was found incorrect
                {checks > 0 && ` in ${plural(checks, 'comparison')}`}.
              </Well>
            ) : (
              <>
                <Wrong>
                  {plural(findings.length, 'incorrect answer')} found since the start of this node.
                </Wrong>
                <DataTable
                  label="Incorrect answers"
                  rows={findings}
                  columns={findingColumns}
                  rowKey={({ id }) => id}
                />
              </>
            )
          }
        </QueryView>
        <QueryView query={omissions}>
          {({ items }) =>
            items.length === 0 ? (
              <Well>Code has declared everything that it changed.</Well>
            ) : (
              <>
                <Wrong>
                  Code forgot to declare {plural(items.length, 'change')}. Triggers did it, so nothing was
                  stale; the code should be mended.
                </Wrong>
                <DataTable
                  label="Forgotten declarations"
                  rows={items}
                  columns={omissionColumns}
                  rowKey={({ table, statement, tag }) => `${table} ${statement} ${tag}`}
                />
              </>
            )
          }
        </QueryView>
      </Stack>
    </Section>
  );
}

const Well = ({ children }: { children: ReactNode }) => (
  <Box className="card" p="md">
    <Group gap="sm" wrap="nowrap">
      <IconShieldCheck size={20} color="var(--mantine-color-spruce-6)" aria-hidden style={{ flex: 'none' }} />
      <Text size="sm">{children}</Text>
    </Group>
  </Box>
);

const Wrong = ({ children }: { children: ReactNode }) => (
  <Group gap="sm" wrap="nowrap">
    <Badge tone="bad">
      <IconAlertTriangle size={13} aria-hidden style={{ verticalAlign: '-2px' }} /> Look here
    </Badge>
    <Text size="sm">{children}</Text>
  </Group>
);
