import { SimpleGrid, Stack } from '@mantine/core';
import { useCachePerformance, useCacheStatistics } from '../../../api/queries';
import { Figure } from '../../../components/Figure';
import { loadMs, memory, servedPercent, total } from '../../../lib/cache-figures';
import { formatBytes, formatNumber, plural } from '../../../lib/format';
import { ByEntity } from './ByEntity';
import { Correctness } from './Correctness';
import { Experience } from './Experience';
import { HowItIsUsed } from './HowItIsUsed';
import { LastHour } from './LastHour';

/** Of a node that was not heard of for so long nothing is said. */
const NODE_SILENT_MS = 60_000;

/** How the cache does, whether it is right, and how it is used. */
export function Page() {
  return (
    <Stack gap="lg">
      <Figures />
      <LastHour />
      <Experience />
      <ByEntity />
      <Correctness />
      <HowItIsUsed />
    </Stack>
  );
}

function Figures() {
  const statistics = useCacheStatistics();
  const performance = useCachePerformance();
  const day = statistics.data && total(statistics.data.items);
  const served = day && servedPercent(day);
  const load = day && loadMs(day);
  const now = performance.data && memory(performance.data.items, performance.dataUpdatedAt, NODE_SILENT_MS);
  return (
    <SimpleGrid cols={{ base: 2, lg: 4 }} spacing={{ base: 'sm', sm: 'md' }}>
      <Figure
        label="Answered from the cache"
        value={typeof served === 'number' ? `${served.toFixed(1)} %` : undefined}
        note={day && `of ${plural(day.reads, 'read')} in 24 hours`}
        pending={statistics.isPending}
      />
      <Figure
        label="Loads"
        value={day && formatNumber(day.loads)}
        note={day && (day.loadFailures > 0 ? `${formatNumber(day.loadFailures)} failed` : 'none failed')}
        pending={statistics.isPending}
      />
      <Figure
        label="A load takes"
        value={typeof load === 'number' ? `${load.toFixed(1)} ms` : undefined}
        note="on the average of 24 hours"
        pending={statistics.isPending}
      />
      <Figure
        label="In memory"
        value={now && formatBytes(now.bytes)}
        note={now && `${formatNumber(now.entries)} entries on ${plural(now.nodes, 'node')}`}
        pending={performance.isPending}
      />
    </SimpleGrid>
  );
}
