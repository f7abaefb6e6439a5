import { Table, Text } from '@mantine/core';
import type { Asset, AssetPage } from '../../api/types';
import { ScrollRegion } from '../../components/ScrollRegion';
import { cell, head, row } from '../../components/table';
import classes from './AssetTable.module.css';

interface AssetTableProps {
  page: AssetPage;
  hidden: ReadonlySet<string>;
  showUnmapped: boolean;
  busy: boolean;
}

/** Wide by nature: it scrolls inside its own container, with the asset's name kept in sight. */
export function AssetTable({ page, hidden, showUnmapped, busy }: AssetTableProps) {
  const columns = page.columns.filter(({ name }) => !hidden.has(name));
  // Without any approved mapping the source columns are all there is to see.
  const unmapped = showUnmapped || page.columns.length === 0 ? sourceColumns(page.items) : [];
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
      </Table>
    </ScrollRegion>
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
