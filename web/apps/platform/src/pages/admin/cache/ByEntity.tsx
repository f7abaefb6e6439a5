import { Button, Text } from '@mantine/core';
import { useState } from 'react';
import { useCacheStatistics } from '../../../api/queries';
import { ProgressCell } from '../../../components/badges';
import { type Column, DataTable } from '../../../components/DataTable';
import { QueryView } from '../../../components/QueryView';
import { Section } from '../../../components/Section';
import { byEntity, loadMs, servedPercent } from '../../../lib/cache-figures';
import { formatNumber } from '../../../lib/format';

type Row = ReturnType<typeof byEntity>[number];

const columns: [Column<Row>, ...Column<Row>[]] = [
  {
    key: 'entity',
    header: 'Kind of entry',
    render: ({ entity }) => (
      <Text size="sm" fw={550} className="mono">
        {entity}
      </Text>
    ),
  },
  { key: 'reads', header: 'Reads', align: 'right', render: ({ figures }) => formatNumber(figures.reads) },
  {
    key: 'served',
    header: 'From the cache',
    render: ({ entity, figures }) => (
      <ProgressCell
        percent={servedPercent(figures) ?? 0}
        label={`Reads of ${entity} answered from the cache`}
      />
    ),
  },
  { key: 'loads', header: 'Loads', align: 'right', render: ({ figures }) => formatNumber(figures.loads) },
  {
    key: 'took',
    header: 'A load takes',
    align: 'right',
    render: ({ figures }) => {
      const took = loadMs(figures);
      return took === null ? '–' : `${took.toFixed(1)} ms`;
    },
  },
];

const SHOWN_FIRST = 8;

export function ByEntity() {
  const statistics = useCacheStatistics();
  const [showsAll, setShowsAll] = useState(false);
  const kinds = byEntity(statistics.data?.items ?? []);
  return (
    <Section
      title="By kind of entry"
      note="In the last 24 hours, over all clients and nodes."
      action={
        kinds.length > SHOWN_FIRST && (
          <Button variant="default" size="xs" onClick={() => setShowsAll(!showsAll)} aria-expanded={showsAll}>
            {showsAll ? 'Show the most read' : `Show all ${kinds.length} kinds`}
          </Button>
        )
      }
    >
      <QueryView query={statistics}>
        {({ items }) =>
          items.length === 0 ? (
            <Text size="sm" c="dimmed">
              Nothing was read yet.
            </Text>
          ) : (
            <DataTable
              label="Statistics by kind of entry"
              rows={showsAll ? kinds : kinds.slice(0, SHOWN_FIRST)}
              columns={columns}
              rowKey={({ entity }) => entity}
            />
          )
        }
      </QueryView>
    </Section>
  );
}
