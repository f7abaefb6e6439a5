import { Group, SegmentedControl } from '@mantine/core';
import type { FieldMapping } from '../../api/types';
import classes from '../../components/review/Review.module.css';
import { SearchInput } from '../../components/review/SearchInput';
import { type Shortcut, Shortcuts } from '../../components/review/Shortcuts';
import { type MappingFilter, matchesFilter } from '../../lib/mappings';

export const SEARCH_ID = 'mapping-search';

const FILTERS: readonly [MappingFilter, string][] = [
  ['all', 'All'],
  ['suggested', 'To review'],
  ['approved', 'Approved'],
  ['rejected', 'Rejected'],
  ['unmapped', 'No target'],
];

const SHORTCUTS: readonly Shortcut[] = [
  ['j', 'Next column'],
  ['k', 'Previous column'],
  ['x', 'Select or unselect'],
  ['a', 'Approve the selection, or the current column'],
  ['r', 'Reject the selection, or the current column'],
  ['c', 'Keep what has no target as it is'],
  ['/', 'Search'],
  ['Esc', 'Clear the selection'],
];

interface MappingToolbarProps {
  items: readonly FieldMapping[];
  filter: MappingFilter;
  onFilter: (filter: MappingFilter) => void;
  search: string;
  onSearch: (search: string) => void;
}

export function MappingToolbar({ items, filter, onFilter, search, onSearch }: MappingToolbarProps) {
  const options = FILTERS.map(([value, label]) => ({
    value,
    label: `${label} ${items.filter((mapping) => matchesFilter(mapping, value)).length}`,
  }));
  return (
    <Group mb="md" gap="sm" justify="space-between">
      <div className={classes.filters}>
        <SegmentedControl
          aria-label="Filter the mappings"
          data={options}
          value={filter}
          onChange={(value) => onFilter(value as MappingFilter)}
          size="sm"
        />
      </div>
      <Group gap="xs" wrap="nowrap" className={classes.search ?? ''}>
        <SearchInput
          id={SEARCH_ID}
          label="Search columns and targets"
          placeholder="Search columns"
          value={search}
          onChange={onSearch}
        />
        <Shortcuts keys={SHORTCUTS} />
      </Group>
    </Group>
  );
}
