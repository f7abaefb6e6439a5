import {
  CloseButton,
  Group,
  Kbd,
  Popover,
  SegmentedControl,
  Table,
  Text,
  TextInput,
  UnstyledButton,
} from '@mantine/core';
import { IconKeyboard, IconSearch } from '@tabler/icons-react';
import type { FieldMapping } from '../../api/types';
import { type MappingFilter, matchesFilter } from '../../lib/mappings';
import classes from './Mappings.module.css';

const FILTERS: readonly [MappingFilter, string][] = [
  ['all', 'All'],
  ['suggested', 'To review'],
  ['approved', 'Approved'],
  ['rejected', 'Rejected'],
  ['unmapped', 'No target'],
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
        <TextInput
          id="mapping-search"
          aria-label="Search columns and targets"
          placeholder="Search columns"
          leftSection={<IconSearch size={16} aria-hidden />}
          rightSection={
            search && <CloseButton size="sm" aria-label="Clear the search" onClick={() => onSearch('')} />
          }
          value={search}
          onChange={(event) => onSearch(event.currentTarget.value)}
          style={{ flex: 1 }}
        />
        <Shortcuts />
      </Group>
    </Group>
  );
}

const SHORTCUTS: readonly [string, string][] = [
  ['j', 'Next column'],
  ['k', 'Previous column'],
  ['x', 'Select or unselect'],
  ['a', 'Approve the selection, or the current column'],
  ['r', 'Reject the selection, or the current column'],
  ['/', 'Search'],
  ['Esc', 'Clear the selection'],
];

function Shortcuts() {
  return (
    <Popover position="bottom-end" withArrow>
      <Popover.Target>
        <UnstyledButton aria-label="Keyboard shortcuts" className={classes.keys ?? ''}>
          <IconKeyboard size={20} stroke={1.6} aria-hidden />
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>
        <Text fw={580} size="sm" mb="xs">
          Keyboard
        </Text>
        <Table withRowBorders={false} verticalSpacing={4} horizontalSpacing={6}>
          <Table.Tbody>
            {SHORTCUTS.map(([key, text]) => (
              <Table.Tr key={key}>
                <Table.Td>
                  <Kbd>{key}</Kbd>
                </Table.Td>
                <Table.Td>{text}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Popover.Dropdown>
    </Popover>
  );
}
