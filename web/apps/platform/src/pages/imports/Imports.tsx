import { Text } from '@mantine/core';
import { IconDatabaseImport } from '@tabler/icons-react';
import { Link, useSearchParams } from 'react-router';
import { useImports } from '../../api/queries';
import type { Import } from '../../api/types';
import { ImportBadge } from '../../components/badges';
import { type Column, DataTable } from '../../components/DataTable';
import { PageHeader } from '../../components/PageHeader';
import { QueryView } from '../../components/QueryView';
import { Notice } from '../../components/states';
import { TimeAgo } from '../../components/TimeAgo';
import { formatBytes, formatFormat, formatNumber } from '../../lib/format';
import { usePermissions } from '../../session/permissions';
import { useEngagementId } from '../../session/session';
import { Uploader } from './Uploader';

const columns: [Column<Import>, ...Column<Import>[]] = [
  {
    key: 'file',
    header: 'File',
    render: (item) => (
      <Link to={`/imports/${item.id}`} className="plain-link">
        {item.file_name}
      </Link>
    ),
  },
  { key: 'status', header: 'Status', render: (item) => <ImportBadge status={item.status} /> },
  {
    key: 'rows',
    header: 'Rows',
    align: 'right',
    render: (item) =>
      item.rows_total === null || item.rows_done === item.rows_total
        ? formatNumber(item.rows_done)
        : `${formatNumber(item.rows_done)} of ${formatNumber(item.rows_total)}`,
  },
  { key: 'layout', header: 'Layout', render: (item) => (item.format ? formatFormat(item.format) : '–') },
  { key: 'size', header: 'Size', align: 'right', render: (item) => formatBytes(item.size_bytes) },
  { key: 'created', header: 'Imported', render: (item) => <TimeAgo at={item.created_at} /> },
];

export function Page() {
  const engagementId = useEngagementId() ?? '';
  const imports = useImports(engagementId);
  const [search] = useSearchParams();
  const mayImport = usePermissions()('imports:write');
  return (
    <>
      <PageHeader
        title="Data import"
        description="Import the CSV export of Azure Migrate, AWS Migration Hub or any other inventory with a header row."
      />
      {mayImport && <Uploader engagementId={engagementId} flowId={search.get('flow')} />}
      <Text component="h2" fw={600} mt="xl" mb="sm">
        History
      </Text>
      <QueryView query={imports}>
        {({ items }) =>
          items.length === 0 ? (
            <Notice icon={<IconDatabaseImport size={26} />} title="No imports yet">
              The files you import appear here, with their progress and any error.
            </Notice>
          ) : (
            <DataTable label="Imports" rows={items} columns={columns} rowKey={({ id }) => id} />
          )
        }
      </QueryView>
    </>
  );
}
