import { Checkbox, Table, Text } from '@mantine/core';
import type { QualityIssue } from '../../api/types';
import review from '../../components/review/Review.module.css';
import type { Draft, Drafts, IssueGroup } from '../../lib/cleansing';
import { AttributeRows } from './AttributeRows';
import classes from './Cleansing.module.css';

/** How much of an attribute's issues is shown: none, the first ones, or all. */
export type Opened = 'closed' | 'some' | 'all';

/** Those of the most rows come first, and a page of hundreds of fields would serve nobody. */
export const SOME = 10;

export function shownOf({ issues }: IssueGroup, opened: Opened = 'some'): readonly QualityIssue[] {
  if (opened === 'closed') return [];
  return opened === 'all' || issues.length <= SOME ? issues : issues.slice(0, SOME);
}

/** What rows do; all of them stay the same while the table changes. */
export interface RowActions {
  onSelect: (id: string, range: boolean) => void;
  onCurrent: (id: string) => void;
  onDraft: (id: string, draft: Draft | undefined) => void;
  onCorrect: (id: string) => void;
}

/** How a checkbox for several rows stands. */
export interface SelectionState {
  checked: boolean;
  indeterminate: boolean;
}

export const selectionState = (selected: number, selectable: number): SelectionState | null =>
  selectable === 0
    ? null
    : { checked: selected === selectable, indeterminate: selected > 0 && selected < selectable };

interface IssueTableProps extends RowActions {
  importId: string;
  /** Rows of the file that were looked at. */
  rows: number;
  groups: readonly IssueGroup[];
  opened: ReadonlyMap<number, Opened>;
  onOpened: (position: number, how: Opened) => void;
  drafts: Drafts;
  selected: ReadonlySet<string>;
  /** Of all that are looked for; null if none of them can be corrected. */
  all: SelectionState | null;
  current: { id: string; editing: boolean } | null;
  mayCorrect: boolean;
  onSelectMany: (ids: readonly string[]) => void;
  onSelectAll: () => void;
}

export function IssueTable(props: IssueTableProps) {
  const { groups, opened, all, mayCorrect, onSelectAll, ...shared } = props;
  const headers = ['Issue', 'Value', 'Rows', mayCorrect ? 'Correct to' : 'Suggestion'];
  return (
    <section className={`card ${review.tableCard}`} aria-label="Values by attribute">
      <Table className={`${review.table} ${classes.table}`} horizontalSpacing="md" verticalSpacing={8}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th className={review.check ?? ''} scope="col">
              {mayCorrect && all && (
                <Checkbox aria-label="Select all values" {...all} onChange={onSelectAll} />
              )}
            </Table.Th>
            {headers.map((header) => (
              <Table.Th key={header} scope="col">
                <Text span size="xs" c="dimmed" fw={550}>
                  {header}
                </Text>
              </Table.Th>
            ))}
            <Table.Td />
          </Table.Tr>
        </Table.Thead>
        {groups.map((group) => (
          <AttributeRows
            key={group.attribute.position}
            {...shared}
            group={group}
            opened={opened.get(group.attribute.position) ?? 'some'}
            mayCorrect={mayCorrect}
          />
        ))}
      </Table>
    </section>
  );
}
