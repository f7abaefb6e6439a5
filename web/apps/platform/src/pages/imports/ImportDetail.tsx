import { Alert, Box, Button, Group, Progress, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { Link, useParams } from 'react-router';
import { isRunning, useImport } from '../../api/queries';
import type { Import, ImportError } from '../../api/types';
import { ImportBadge } from '../../components/badges';
import { CleansingLink } from '../../components/CleansingLink';
import { Facts } from '../../components/Facts';
import { PageHeader } from '../../components/PageHeader';
import { QueryView } from '../../components/QueryView';
import { ReviewLink } from '../../components/ReviewLink';
import { PageLoading } from '../../components/states';
import { TimeAgo } from '../../components/TimeAgo';
import { formatBytes, formatDelimiter, formatFormat, formatNumber, plural } from '../../lib/format';

export function Page() {
  const { importId = '' } = useParams();
  const query = useImport(importId);
  return (
    <QueryView query={query} loading={<PageLoading />}>
      {(item) => <Detail item={item} />}
    </QueryView>
  );
}

function Detail({ item }: { item: Import }) {
  return (
    <>
      <PageHeader
        title={item.file_name}
        back={{ to: '/imports', label: 'Data import' }}
        description={
          <Group gap="sm">
            <ImportBadge status={item.status} />
            <Text span size="sm" c="dimmed">
              imported <TimeAgo at={item.created_at} />
            </Text>
          </Group>
        }
        actions={
          <>
            <Button component={Link} to={`/flows/${item.flow_id}`} variant="default">
              Flow
            </Button>
            {item.status === 'completed' && (
              <>
                <CleansingLink importId={item.id} />
                <ReviewLink importId={item.id} engagementId={item.engagement_id} />
              </>
            )}
          </>
        }
      />
      <Stack gap="lg">
        {item.error && <ImportFailure error={item.error} />}
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
          <ImportProgress item={item} />
          <Box component="section" className="card" p="lg" aria-labelledby="file">
            <Title order={2} fz="md" mb="sm" id="file">
              What was recognised
            </Title>
            <Facts
              items={[
                ['Layout', item.format ? formatFormat(item.format) : '–'],
                ['Columns', item.columns?.toString() ?? '–'],
                ['Encoding', item.encoding?.toUpperCase() ?? '–'],
                ['Separator', item.delimiter ? formatDelimiter(item.delimiter) : '–'],
                ['Size', formatBytes(item.size_bytes)],
              ]}
            />
          </Box>
        </SimpleGrid>
      </Stack>
    </>
  );
}

const STAGE: Record<Import['status'], string> = {
  queued: 'Waiting to be read',
  reading: 'Reading rows',
  mapping: 'Suggesting field mappings',
  completed: 'All rows were read and mappings suggested',
  failed: 'The import stopped',
};

function ImportProgress({ item }: { item: Import }) {
  const percent = item.rows_total
    ? (100 * item.rows_done) / item.rows_total
    : item.status === 'completed'
      ? 100
      : 0;
  const running = isRunning(item);
  return (
    <Box component="section" className="card" p="lg" aria-labelledby="progress">
      <Title order={2} fz="md" mb="md" id="progress">
        Progress
      </Title>
      <Progress
        value={item.status === 'queued' ? 4 : percent}
        size={10}
        animated={running}
        color={item.status === 'failed' ? 'red' : 'spruce'}
        aria-label="Rows read"
      />
      <Text mt="md" fw={550} aria-live="polite">
        {STAGE[item.status]}
      </Text>
      <Text size="sm" c="dimmed" className="numeric">
        {item.rows_total === null
          ? `${plural(item.rows_done, 'row')} so far`
          : `${formatNumber(item.rows_done)} of ${plural(item.rows_total, 'row')}`}
      </Text>
      {running && (
        <Text size="sm" c="dimmed" mt="sm">
          You can leave this page; the import goes on.
        </Text>
      )}
    </Box>
  );
}

function ImportFailure({ error }: { error: ImportError }) {
  return (
    <Alert color="red" icon={<IconAlertTriangle />} title="The file could not be imported" role="alert">
      <Stack gap="xs">
        <Text size="sm">{error.message}</Text>
        {(error.row !== null || error.column !== null) && (
          <Group gap="lg">
            {error.row !== null && (
              <Text size="sm">
                Row <strong className="numeric">{formatNumber(error.row)}</strong>
              </Text>
            )}
            {error.column !== null && (
              <Text size="sm">
                Column <strong>{error.column}</strong>
              </Text>
            )}
          </Group>
        )}
        <Text size="sm">
          Correct the file and{' '}
          <Link to="/imports" style={{ color: 'inherit' }}>
            import it again
          </Link>
          .
        </Text>
      </Stack>
    </Alert>
  );
}
