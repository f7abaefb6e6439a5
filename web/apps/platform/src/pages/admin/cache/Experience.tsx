import { Stack, Text } from '@mantine/core';
import { useCacheExperience } from '../../../api/queries';
import type { CacheExperience } from '../../../api/types';
import { type Column, DataTable } from '../../../components/DataTable';
import { QueryView } from '../../../components/QueryView';
import { Section } from '../../../components/Section';
import { TimeAgo } from '../../../components/TimeAgo';
import { difference, statementsPerPage } from '../../../lib/cache-figures';
import { formatNumber } from '../../../lib/format';

/** What those who use pages get, as their browsers measure it: with the cache, and without it where flags say so. */
export function Experience() {
  const experience = useCacheExperience();
  return (
    <Section
      title="What pages take"
      note="As browsers measure it, in the last hour of the node that answers you."
    >
      <QueryView query={experience}>{(hour) => <Comparison hour={hour} />}</QueryView>
    </Section>
  );
}

interface Line {
  name: string;
  cached: number | null | undefined;
  uncached: number | null | undefined;
  text: (value: number) => string;
  /** Whether one is to be compared with the other. */
  compared: boolean;
}

const ms = (value: number) => `${formatNumber(Math.round(value))} ms`;
const mean = (value: number) => value.toFixed(1);
const known = ({ text }: Line, value: number | null | undefined) =>
  typeof value === 'number' ? text(value) : '–';

const columns: [Column<Line>, ...Column<Line>[]] = [
  { key: 'name', header: 'Of a page', render: ({ name }) => name },
  { key: 'cached', header: 'With the cache', align: 'right', render: (line) => known(line, line.cached) },
  { key: 'uncached', header: 'Without it', align: 'right', render: (line) => known(line, line.uncached) },
  {
    key: 'difference',
    header: 'Difference',
    align: 'right',
    render: ({ cached, uncached, compared }) => {
      const percent = compared ? difference(cached, uncached) : null;
      return percent === null ? '–' : `${percent < 0 ? '−' : '+'}${Math.abs(percent)} %`;
    },
  },
];

function linesOf({ cached, uncached }: CacheExperience): Line[] {
  const line = (
    name: string,
    of: 'calls_mean' | 'renders_mean' | 'shown_ms_p50' | 'shown_ms_p75',
    text: Line['text'],
  ) => ({
    name,
    cached: cached[of],
    uncached: uncached[of],
    text,
    compared: true,
  });
  return [
    line('Calls to the API', 'calls_mean', mean),
    line('Renders of what shows its data', 'renders_mean', mean),
    line('Until half of them show their data', 'shown_ms_p50', ms),
    line('Until three of four do', 'shown_ms_p75', ms),
    {
      name: 'Pages shown',
      cached: cached.pages,
      uncached: uncached.pages,
      text: formatNumber,
      compared: false,
    },
  ];
}

function Comparison({ hour }: { hour: CacheExperience }) {
  const statements = statementsPerPage(hour);
  return (
    <Stack gap="sm">
      <DataTable
        label="What pages take, by figure"
        rows={linesOf(hour)}
        columns={columns}
        rowKey={({ name }) => name}
      />
      <Text size="sm" c="dimmed">
        The database ran {formatNumber(hour.statements)} statements that read
        {statements !== null && `, ${mean(statements)} for each page shown`}. Counted since{' '}
        <TimeAgo at={hour.since} />.
        {hour.uncached.pages === 0 &&
          ' Nobody was sent past the cache: feature flags can do that for a share of the users, to compare.'}
      </Text>
    </Stack>
  );
}
