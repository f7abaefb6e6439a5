import { Box, Group, Stack, Table, Text } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { memo, type ReactNode } from 'react';
import { ScrollRegion } from './ScrollRegion';
import { cell, row as rowProps } from './table';

export interface Column<T> {
  key: string;
  header: string;
  render: (row: T) => ReactNode;
  align?: 'left' | 'right';
  width?: string | number;
}

interface DataTableProps<T> {
  label: string;
  rows: readonly T[];
  columns: readonly [Column<T>, ...Column<T>[]];
  rowKey: (row: T) => string;
  actions?: (row: T) => ReactNode;
}

/** A table, or one card per row where a table would not fit. The first column names the row. */
export function DataTable<T>(props: DataTableProps<T>) {
  const narrow = useMediaQuery('(max-width: 48em)', undefined, { getInitialValueInEffect: false });
  return narrow ? <Cards {...props} /> : <Rows {...props} />;
}

function Rows<T>({ label, rows, columns, rowKey, actions }: DataTableProps<T>) {
  return (
    <ScrollRegion label={label}>
      <Table verticalSpacing="sm" horizontalSpacing="md" highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            {columns.map((column) => (
              <Table.Th key={column.key} ta={column.align ?? 'left'} w={column.width} scope="col">
                <Text span size="xs" c="dimmed" fw={550}>
                  {column.header}
                </Text>
              </Table.Th>
            ))}
            {actions && (
              <Table.Th w={1} scope="col">
                <Text span size="xs" c="dimmed" fw={550}>
                  Actions
                </Text>
              </Table.Th>
            )}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((row) => (
            <Row key={rowKey(row)} row={row} columns={columns} actions={actions} />
          ))}
        </Table.Tbody>
      </Table>
    </ScrollRegion>
  );
}

interface RowProps<T> {
  row: T;
  columns: readonly [Column<T>, ...Column<T>[]];
  actions: ((row: T) => ReactNode) | undefined;
}

function RowOf<T>({ row, columns, actions }: RowProps<T>): ReactNode {
  return (
    <tr {...rowProps}>
      {columns.map((column) => (
        <td
          key={column.key}
          style={{ textAlign: column.align ?? 'left' }}
          {...cell(column.align === 'right' ? 'numeric' : '')}
        >
          {column.render(row)}
        </td>
      ))}
      {actions && (
        <td {...cell()}>
          <Group gap="xs" wrap="nowrap" justify="flex-end">
            {actions(row)}
          </Group>
        </td>
      )}
    </tr>
  );
}

/** What is read again unchanged is the very object it was, and the compiler keeps `actions` while nothing in them changed. */
const Row = memo(RowOf) as unknown as typeof RowOf;

function Cards<T>({ label, rows, columns, rowKey, actions }: DataTableProps<T>) {
  const [title, ...details] = columns;
  return (
    <Stack component="ul" gap="sm" aria-label={label} m={0} p={0} style={{ listStyle: 'none' }}>
      {rows.map((row) => (
        <Box component="li" key={rowKey(row)} className="card" p="md">
          <Box mb="xs" style={{ overflowWrap: 'anywhere' }}>
            {title.render(row)}
          </Box>
          <Stack gap={6}>
            {details.map((column) => (
              <Group key={column.key} justify="space-between" wrap="nowrap" gap="md" align="flex-start">
                <Text size="xs" c="dimmed">
                  {column.header}
                </Text>
                <Box fz="sm" ta="right" miw={0} className="card-value" style={{ overflowWrap: 'anywhere' }}>
                  {column.render(row)}
                </Box>
              </Group>
            ))}
          </Stack>
          {actions && (
            <Group gap="xs" mt="md">
              {actions(row)}
            </Group>
          )}
        </Box>
      ))}
    </Stack>
  );
}
