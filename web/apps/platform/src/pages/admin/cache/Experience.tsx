import { Box, Table, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { useCacheExperience } from '../../../api/queries';
import type { CacheExperience } from '../../../api/types';
import { QueryView } from '../../../components/QueryView';
import { ScrollRegion } from '../../../components/ScrollRegion';
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
      <Box className="card" p="md">
        <QueryView query={experience}>{(hour) => <Comparison hour={hour} />}</QueryView>
      </Box>
    </Section>
  );
}

const ms = (value: number) => `${formatNumber(Math.round(value))} ms`;
const mean = (value: number) => value.toFixed(1);

function Comparison({ hour }: { hour: CacheExperience }) {
  const { cached, uncached } = hour;
  const statements = statementsPerPage(hour);
  return (
    <>
      <ScrollRegion label="What pages take">
        <Table verticalSpacing="xs">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Of a page</Table.Th>
              <Table.Th ta="right">With the cache</Table.Th>
              <Table.Th ta="right">Without it</Table.Th>
              <Table.Th ta="right">Difference</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            <Row name="Calls to the API" of={cached.calls_mean} past={uncached.calls_mean} text={mean} />
            <Row
              name="Until half of them show their data"
              of={cached.shown_ms_p50}
              past={uncached.shown_ms_p50}
              text={ms}
            />
            <Row
              name="Until three of four do"
              of={cached.shown_ms_p75}
              past={uncached.shown_ms_p75}
              text={ms}
            />
            <Table.Tr>
              <Table.Td>Pages shown</Table.Td>
              <Table.Td ta="right" className="numeric">
                {formatNumber(cached.pages)}
              </Table.Td>
              <Table.Td ta="right" className="numeric">
                {formatNumber(uncached.pages)}
              </Table.Td>
              <Table.Td />
            </Table.Tr>
          </Table.Tbody>
        </Table>
      </ScrollRegion>
      <Text size="sm" c="dimmed" mt="sm">
        The database ran {formatNumber(hour.statements)} statements that read
        {statements !== null && `, ${mean(statements)} for each page shown`}, since{' '}
        <TimeAgo at={hour.since} />.
        {uncached.pages === 0 &&
          ' Nobody was sent past the cache: Feature flags can do that for a share of the users, to compare.'}
      </Text>
    </>
  );
}

interface RowProps {
  name: ReactNode;
  of: number | null | undefined;
  past: number | null | undefined;
  text: (value: number) => string;
}

function Row({ name, of, past, text }: RowProps) {
  const percent = difference(of, past);
  return (
    <Table.Tr>
      <Table.Td>{name}</Table.Td>
      <Table.Td ta="right" className="numeric">
        {typeof of === 'number' ? text(of) : '–'}
      </Table.Td>
      <Table.Td ta="right" className="numeric">
        {typeof past === 'number' ? text(past) : '–'}
      </Table.Td>
      <Table.Td ta="right" className="numeric">
        {percent === null ? '–' : `${percent > 0 ? '+' : percent < 0 ? '−' : ''}${Math.abs(percent)} %`}
      </Table.Td>
    </Table.Tr>
  );
}
