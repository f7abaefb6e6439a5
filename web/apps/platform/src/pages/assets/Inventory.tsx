import { Anchor, Button, CloseButton, Group, Menu, Pagination, Select, Text, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { IconColumns3, IconSearch, IconServer2 } from '@tabler/icons-react';
import { type Read, useHeld, usePrefetchOnIntent } from '@unstale/client/react';
import { useState } from 'react';
import { Link, useSearchParams } from 'react-router';
import { assetPage, useAssets, useImports } from '../../api/queries';
import type { AssetPage } from '../../api/types';
import { PageHeader } from '../../components/PageHeader';
import { QueryView } from '../../components/QueryView';
import { Notice, SkeletonRows } from '../../components/states';
import { formatNumber, plural } from '../../lib/format';
import { isTyped } from '../../lib/typing';
import { useEngagementId } from '../../session/session';
import { AssetTable } from './AssetTable';
import { customOf, useHiddenColumns } from './useHiddenColumns';

const SEARCH_DELAY_MS = 250;

/** Search, import and page live in the address, so that a view can be shared and gone back to. */
function useView() {
  const [params, setParams] = useSearchParams();
  const change = (name: string, value: string | null) =>
    setParams(
      (before) => {
        const next = new URLSearchParams(before);
        if (value) next.set(name, value);
        else next.delete(name);
        if (name !== 'page') next.delete('page');
        return next;
      },
      { replace: name !== 'page' },
    );
  return {
    search: params.get('q') ?? '',
    importId: params.get('import'),
    page: Math.max(1, Number.parseInt(params.get('page') ?? '1', 10) || 1),
    change,
  };
}

export function Page() {
  const engagementId = useEngagementId() ?? '';
  const view = useView();
  const assets = useAssets({
    engagementId,
    importId: view.importId,
    search: view.search,
    page: view.page,
  });
  const [ahead, setAhead] = useState<Read<AssetPage> | null>(null);
  const next = useHeld(ahead);
  const columns = useHiddenColumns();
  const filtered = view.search !== '' || view.importId !== null;

  return (
    <>
      <PageHeader
        title="Asset inventory"
        description={
          assets.data
            ? `${plural(assets.data.total, 'asset')}${filtered ? ' found' : ''}`
            : 'All imported assets'
        }
      />
      <Group mb="md" gap="sm">
        <SearchField initial={view.search} onSearch={(text) => view.change('q', text)} />
        <ImportFilter
          engagementId={engagementId}
          value={view.importId}
          onChange={(id) => view.change('import', id)}
        />
        {assets.data && assets.data.columns.length > 0 && <ColumnMenu page={assets.data} columns={columns} />}
      </Group>
      <QueryView query={assets} loading={<SkeletonRows rows={10} />}>
        {(page) =>
          page.items.length === 0 ? (
            <NoAssets filtered={filtered} />
          ) : (
            <>
              {page.columns.length === 0 && <NothingApproved />}
              <AssetTable
                page={page}
                next={next}
                shown={columns.shown}
                showUnmapped={columns.showUnmapped}
                busy={assets.isPlaceholderData}
              />
              <Pages
                page={page}
                readOf={(number) => assetPage({ engagementId, ...view, page: number })}
                onAhead={setAhead}
                onPage={(number) => view.change('page', String(number))}
              />
            </>
          )
        }
      </QueryView>
    </>
  );
}

function SearchField({ initial, onSearch }: { initial: string; onSearch: (text: string) => void }) {
  const [text, setText] = useState(initial);
  const search = useDebouncedCallback(onSearch, SEARCH_DELAY_MS);
  const change = (value: string) => {
    setText(value);
    search(value.trim());
    // Pasted, or cleared: nobody is typing whom it would have to wait for.
    if (!isTyped(text, value)) search.flush();
  };
  return (
    <TextInput
      aria-label="Search the assets"
      placeholder="Search names, addresses, values"
      leftSection={<IconSearch size={16} aria-hidden />}
      rightSection={
        text && <CloseButton size="sm" aria-label="Clear the search" onClick={() => change('')} />
      }
      value={text}
      onChange={(event) => change(event.currentTarget.value)}
      style={{ flex: '1 1 16rem' }}
      maw={420}
    />
  );
}

interface ImportFilterProps {
  engagementId: string;
  value: string | null;
  onChange: (id: string | null) => void;
}

function ImportFilter({ engagementId, value, onChange }: ImportFilterProps) {
  const imports = useImports(engagementId);
  const options = (imports.data?.items ?? [])
    .filter(({ status }) => status === 'completed')
    .map(({ id, file_name }) => ({ value: id, label: file_name }));
  return (
    <Select
      aria-label="Filter by import"
      placeholder="All imports"
      data={options}
      value={value}
      onChange={onChange}
      clearable
      clearButtonProps={{ 'aria-label': 'Show all imports' }}
      w={{ base: '100%', xs: 240 }}
    />
  );
}

function ColumnMenu({ page, columns }: { page: AssetPage; columns: ReturnType<typeof useHiddenColumns> }) {
  const custom = customOf(page.columns);
  const showsCustom = columns.showsCustom(page.columns);
  return (
    <Menu closeOnItemClick={false} position="bottom-end">
      <Menu.Target>
        <Button variant="default" leftSection={<IconColumns3 size={17} aria-hidden />}>
          Columns
        </Button>
      </Menu.Target>
      <Menu.Dropdown mah={380} style={{ overflowY: 'auto' }}>
        <Menu.Label>Approved mappings</Menu.Label>
        {page.columns
          .filter((column) => !custom.includes(column))
          .map(({ name, label }) => (
            <Menu.CheckboxItem
              key={name}
              checked={!columns.hidden.has(name)}
              onChange={() => columns.toggle(name)}
            >
              {label}
            </Menu.CheckboxItem>
          ))}
        <Menu.Divider />
        {custom.length > 0 && (
          <Menu.CheckboxItem checked={showsCustom} onChange={columns.setCustom}>
            Columns kept as they are ({formatNumber(custom.length)})
          </Menu.CheckboxItem>
        )}
        <Menu.CheckboxItem checked={columns.showUnmapped} onChange={columns.toggleUnmapped}>
          Source columns without a mapping
        </Menu.CheckboxItem>
      </Menu.Dropdown>
    </Menu>
  );
}

interface PagesProps {
  page: AssetPage;
  readOf: (page: number) => Read<AssetPage>;
  onAhead: (read: Read<AssetPage>) => void;
  onPage: (page: number) => void;
}

function Pages({ page, readOf, onAhead, onPage }: PagesProps) {
  const onIntent = usePrefetchOnIntent();
  const pages = Math.ceil(page.total / page.page_size);
  const first = (page.page - 1) * page.page_size + 1;
  return (
    <Group justify="space-between" mt="md">
      <Text size="sm" c="dimmed" className="numeric">
        {formatNumber(first)} to {formatNumber(first + page.items.length - 1)} of {formatNumber(page.total)}
      </Text>
      {pages > 1 && (
        <Pagination
          total={pages}
          value={page.page}
          onChange={onPage}
          size="sm"
          siblings={1}
          getControlProps={(control) => ({
            'aria-label': control === 'next' ? 'Next page' : 'Previous page',
          })}
          getItemProps={(number) => {
            const read = readOf(number);
            return { 'aria-label': `Page ${number}`, ...onIntent([read], () => onAhead(read)) };
          }}
        />
      )}
    </Group>
  );
}

function NothingApproved() {
  return (
    <Text size="sm" c="dimmed" mb="sm">
      No field mapping is approved yet, so the source columns are shown as they came.{' '}
      <Anchor component={Link} to="/mappings" underline="always">
        Review the mappings
      </Anchor>
    </Text>
  );
}

function NoAssets({ filtered }: { filtered: boolean }) {
  if (filtered) {
    return (
      <Notice icon={<IconServer2 size={26} />} title="No asset matches">
        Try another search, or show all imports.
      </Notice>
    );
  }
  return (
    <Notice
      icon={<IconServer2 size={26} />}
      title="The inventory is empty"
      action={
        <Button component={Link} to="/imports">
          Import a CSV file
        </Button>
      }
    >
      Assets appear here when a file has been imported; their columns, when mappings are approved.
    </Notice>
  );
}
