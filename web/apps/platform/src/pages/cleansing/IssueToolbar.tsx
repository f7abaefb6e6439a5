import { Button, Group, SegmentedControl, Select, Stack } from '@mantine/core';
import { IconWand } from '@tabler/icons-react';
import { useMemo } from 'react';
import type { AttributeQuality } from '../../api/types';
import review from '../../components/review/Review.module.css';
import { SearchInput } from '../../components/review/SearchInput';
import { type Shortcut, Shortcuts } from '../../components/review/Shortcuts';
import { countKinds, ISSUE_KINDS, type IssueFilter } from '../../lib/cleansing';
import { formatNumber, issueLabel } from '../../lib/format';

export const SEARCH_ID = 'issue-search';

const SHORTCUTS: readonly Shortcut[] = [
  ['j', 'Next value'],
  ['k', 'Previous value'],
  ['e', 'Write its replacement'],
  ['Enter', 'Correct it, while writing'],
  ['x', 'Select or unselect'],
  ['c', 'Correct the selection, or the current value'],
  ['/', 'Search'],
  ['Esc', 'Leave the replacement, or clear the selection'],
];

interface IssueToolbarProps {
  attributes: readonly AttributeQuality[];
  filter: IssueFilter;
  onFilter: (filter: IssueFilter) => void;
  /** How many of those that are looked for have a replacement; null for who may not correct. */
  ready: number | null;
  onSelectReady: () => void;
}

export function IssueToolbar({ attributes, filter, onFilter, ready, onSelectReady }: IssueToolbarProps) {
  const counts = useMemo(() => countKinds(attributes), [attributes]);
  const total = ISSUE_KINDS.reduce((sum, kind) => sum + counts[kind], 0);
  const kinds = ISSUE_KINDS.filter((kind) => counts[kind] > 0 || filter.kind === kind);
  const columns = attributes.map(({ position, label, issues }) => ({
    value: String(position),
    label: issues.length > 0 ? `${label} (${formatNumber(issues.length)})` : label,
  }));
  return (
    <Stack mb="md" gap="sm">
      <Group gap="sm">
        <div className={review.filters}>
          <SegmentedControl
            aria-label="Filter by kind"
            data={[
              { value: 'all', label: `All ${formatNumber(total)}` },
              ...kinds.map((kind) => ({
                value: kind,
                label: `${issueLabel[kind]} ${formatNumber(counts[kind])}`,
              })),
            ]}
            value={filter.kind}
            onChange={(kind) => onFilter({ ...filter, kind: kind as IssueFilter['kind'] })}
            size="sm"
          />
        </div>
        <Select
          aria-label="Filter by attribute"
          placeholder="All attributes"
          data={columns}
          value={filter.position === null ? null : String(filter.position)}
          onChange={(position) =>
            onFilter({ ...filter, position: position === null ? null : Number(position) })
          }
          searchable
          clearable
          clearButtonProps={{ 'aria-label': 'Show all attributes' }}
          w={{ base: '100%', xs: 220 }}
        />
      </Group>
      <Group gap="sm" justify="space-between">
        <Group gap="xs" wrap="nowrap" className={review.search ?? ''}>
          <SearchInput
            id={SEARCH_ID}
            label="Search values and attributes"
            placeholder="Search values"
            value={filter.search}
            onChange={(search) => onFilter({ ...filter, search })}
          />
          {ready !== null && <Shortcuts keys={SHORTCUTS} />}
        </Group>
        {ready !== null && (
          <Button
            variant="light"
            leftSection={<IconWand size={17} aria-hidden />}
            disabled={ready === 0}
            onClick={onSelectReady}
          >
            Select all with a suggestion
          </Button>
        )}
      </Group>
    </Stack>
  );
}
