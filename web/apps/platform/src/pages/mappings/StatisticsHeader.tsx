import { Box, Group, Progress, Skeleton, Text } from '@mantine/core';
import { useMappingStatistics } from '../../api/queries';
import type { MappingStatistics, TargetAttribute } from '../../api/types';
import { Badge } from '../../components/badges';
import { QueryView } from '../../components/QueryView';
import { formatPercent } from '../../lib/format';

interface StatisticsHeaderProps {
  importId: string;
  missing: readonly TargetAttribute[];
}

export function StatisticsHeader({ importId, missing }: StatisticsHeaderProps) {
  const statistics = useMappingStatistics(importId);
  return (
    <Box component="section" className="card" p="md" mb="md" aria-label="Statistics">
      <QueryView query={statistics} loading={<Skeleton height={52} />}>
        {(data) => <Figures statistics={data} />}
      </QueryView>
      {missing.length > 0 && (
        <Text size="sm" mt="sm">
          <Badge tone="attention">Still needed</Badge> {missing.map(({ label }) => label).join(', ')}: no
          approved column provides {missing.length === 1 ? 'it' : 'them'} yet.
        </Text>
      )}
    </Box>
  );
}

function Figures({ statistics }: { statistics: MappingStatistics }) {
  const { total, approved, rejected, suggested, unmapped, average_confidence, approved_percent } = statistics;
  const share = (count: number) => (total === 0 ? 0 : (100 * count) / total);
  return (
    <>
      <Group gap="lg" mb="sm">
        <Figure label="approved" value={approved} note={formatPercent(approved_percent)} />
        <Figure label="to review" value={suggested} />
        <Figure label="rejected" value={rejected} />
        <Figure label="without a target" value={unmapped} />
        <Text size="sm" c="dimmed" ml={{ base: 0, sm: 'auto' }} className="numeric">
          {total} columns · average confidence {formatPercent(100 * average_confidence)}
        </Text>
      </Group>
      <Progress.Root size={8}>
        <Progress.Section value={share(approved)} color="spruce" aria-label="Approved" />
        <Progress.Section value={share(rejected)} color="red.4" aria-label="Rejected" />
      </Progress.Root>
    </>
  );
}

function Figure({ label, value, note }: { label: string; value: number; note?: string }) {
  return (
    <Group gap={6} align="baseline" wrap="nowrap" data-figure={label}>
      <Text span fz="xl" fw={600}>
        {value}
      </Text>
      <Text span size="sm" c="dimmed">
        {label}
        {note && ` (${note})`}
      </Text>
    </Group>
  );
}
