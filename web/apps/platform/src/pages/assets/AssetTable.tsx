import { Table, Text } from '@mantine/core';
import { Activity } from 'react';
import type { Asset, AssetPage } from '../../api/types';
import { ScrollRegion } from '../../components/ScrollRegion';
import { cell, head, row } from '../../components/table';
import classes from './AssetTable.module.css';

interface AssetTableProps {
  page: AssetPage;
  /** Of another page, held already: its rows are prepared behind those on screen. */
  next?: AssetPage | undefined;
  /** Those of a page's columns that are shown. */
  shown: (columns: AssetPage['columns']) => AssetPage['columns'];
  showUnmapped: boolean;
  busy: boolean;
}

/** Wide by nature: it scrolls inside its own container, with the asset's name kept in sight. */
export function AssetTable({ page, next, shown, showUnmapped, busy }: AssetTableProps) {
  const columns = shown(page.columns);
  // Without any approved mapping the source columns are all there is to see.
  const unmappedOf = (of: AssetPage) =>
    showUnmapped || of.columns.length === 0 ? sourceColumns(of.items) : [];
  const unmapped = unmappedOf(page);
  return (
    <ScrollRegion label="Assets" className={classes.frame} busy={busy}>
      <Table horizontalSpacing="md" verticalSpacing={9} highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th className={classes.name ?? ''} scope="col">
              <Header text="Asset" />
            </Table.Th>
            {columns.map(({ name, label }) => (
              <Table.Th key={name} scope="col">
                <Header text={label} />
              </Table.Th>
            ))}
            {unmapped.map((name) => (
              <Table.Th key={name} scope="col" className={classes.unmapped ?? ''}>
                <Header text={name} />
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Rows key={page.page} isShown page={page} columns={columns} unmapped={unmapped} />
        {next && next.page !== page.page && (
          <Rows
            key={next.page}
            isShown={false}
            page={next}
            columns={shown(next.columns)}
            unmapped={unmappedOf(next)}
          />
        )}
      </Table>
    </ScrollRegion>
  );
}

interface RowsProps {
  isShown: boolean;
  page: AssetPage;
  columns: AssetPage['columns'];
  unmapped: readonly string[];
}

function Rows({ isShown, page, columns, unmapped }: RowsProps) {
  return (
    <Activity mode={isShown ? 'visible' : 'hidden'}>
      <Table.Tbody>
        {page.items.map((asset) => (
          <tr key={asset.id} {...row}>
            <th scope="row" style={{ fontWeight: 550 }} {...head(classes.name)}>
              {asset.name ?? `Row ${asset.row_number}`}
            </th>
            {columns.map(({ name }) => (
              <td key={name} {...cell()}>
                {asset.attributes[name] ?? ''}
              </td>
            ))}
            {unmapped.map((name) => (
              <td key={name} {...cell(classes.unmapped)}>
                {asset.unmapped[name] ?? ''}
              </td>
            ))}
          </tr>
        ))}
      </Table.Tbody>
    </Activity>
  );
}

function Header({ text }: { text: string }) {
  return (
    <Text span size="xs" c="dimmed" fw={550}>
      {text}
    </Text>
  );
}

function sourceColumns(assets: readonly Asset[]): string[] {
  return [...new Set(assets.flatMap(({ unmapped }) => Object.keys(unmapped)))];
}
