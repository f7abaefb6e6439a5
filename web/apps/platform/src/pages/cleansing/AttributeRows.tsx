import { Button, Checkbox, Group, Progress, Table, Text, UnstyledButton } from '@mantine/core';
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import { Badge } from '../../components/badges';
import review from '../../components/review/Review.module.css';
import { type Drafts, type IssueGroup, isCorrectable, issueId, issuesIn } from '../../lib/cleansing';
import { formatNumber, plural } from '../../lib/format';
import classes from './Cleansing.module.css';
import { IssueRow } from './IssueRow';
import { type Opened, type RowActions, SOME, selectionState, shownOf } from './IssueTable';

interface AttributeRowsProps extends RowActions {
  importId: string;
  rows: number;
  group: IssueGroup;
  opened: Opened;
  onOpened: (position: number, how: Opened) => void;
  drafts: Drafts;
  selected: ReadonlySet<string>;
  current: { id: string; editing: boolean } | null;
  mayCorrect: boolean;
  onSelectMany: (ids: readonly string[]) => void;
}

/** An attribute: how complete it is, and below it what is doubtful. */
export function AttributeRows(props: AttributeRowsProps) {
  const { importId, rows, group, opened, onOpened, drafts, selected, current, mayCorrect } = props;
  const { onSelectMany, onSelect, onCurrent, onDraft, onCorrect } = props;
  const { attribute, issues } = group;
  const { position, label } = attribute;
  const shown = shownOf(group, opened);
  const selectable = issues.filter(isCorrectable).map((issue) => issueId(position, issue));
  const chosen = selectable.filter((id) => selected.has(id)).length;
  const all = selectionState(chosen, selectable.length);
  const isOpen = opened !== 'closed';
  const hidden = isOpen ? issues.length - shown.length : 0;
  return (
    <Table.Tbody aria-label={label}>
      <Table.Tr className={classes.attribute ?? ''}>
        <Table.Td className={review.check ?? ''}>
          {mayCorrect && all && (
            <Checkbox
              aria-label={`Select all of ${label}`}
              {...all}
              onChange={() => onSelectMany(selectable)}
            />
          )}
        </Table.Td>
        <Table.Th colSpan={5} scope="rowgroup" fw="inherit">
          <div className={classes.attributeHead}>
            <AttributeName group={group} isOpen={isOpen} onOpened={onOpened} />
            <Completeness label={label} filled={attribute.filled} rows={rows} />
            <IssueCount group={group} selected={chosen} />
          </div>
        </Table.Th>
      </Table.Tr>
      {shown.map((issue) => {
        const id = issueId(position, issue);
        return (
          <IssueRow
            key={id}
            id={id}
            importId={importId}
            issue={issue}
            label={label}
            dataType={attribute.data_type}
            draft={drafts.get(id)}
            selected={selected.has(id)}
            current={current?.id !== id ? null : current.editing ? 'editing' : 'row'}
            mayCorrect={mayCorrect}
            onSelect={onSelect}
            onCurrent={onCurrent}
            onDraft={onDraft}
            onCorrect={onCorrect}
          />
        );
      })}
      {(hidden > 0 || (opened === 'all' && issues.length > SOME)) && (
        <Table.Tr className={classes.more ?? ''}>
          <Table.Td />
          <Table.Td colSpan={5}>
            <Button
              size="compact-sm"
              variant="subtle"
              onClick={() => onOpened(position, hidden > 0 ? 'all' : 'some')}
            >
              {hidden > 0 ? `Show ${formatNumber(hidden)} more of ${label}` : `Show the first ${SOME} only`}
            </Button>
          </Table.Td>
        </Table.Tr>
      )}
      {isOpen && attribute.issues_left_out > 0 && (
        <Table.Tr className={classes.more ?? ''}>
          <Table.Td />
          <Table.Td colSpan={5}>
            <Text size="sm" c="dimmed">
              {plural(attribute.issues_left_out, 'more value')} of {label}{' '}
              {attribute.issues_left_out === 1 ? 'is' : 'are'} doubtful, in fewer rows. They are listed once
              these are corrected.
            </Text>
          </Table.Td>
        </Table.Tr>
      )}
    </Table.Tbody>
  );
}

interface AttributeNameProps {
  group: IssueGroup;
  isOpen: boolean;
  onOpened: (position: number, how: Opened) => void;
}

function AttributeName({ group: { attribute, issues }, isOpen, onOpened }: AttributeNameProps) {
  const { position, label, source_column, required } = attribute;
  const name = (
    <span className={classes.attributeName}>
      <Text span fw={580}>
        {label}
      </Text>{' '}
      {required && (
        <Text span size="xs" c="dimmed">
          required
        </Text>
      )}
      <Text span size="xs" c="dimmed" className={`mono ${classes.source}`}>
        {source_column}
      </Text>
    </span>
  );
  if (issues.length === 0) return <span className={classes.unfolding}>{name}</span>;
  const Chevron = isOpen ? IconChevronDown : IconChevronRight;
  return (
    <UnstyledButton
      className={classes.unfold ?? ''}
      aria-expanded={isOpen}
      onClick={() => onOpened(position, isOpen ? 'closed' : 'some')}
    >
      <Chevron size={16} aria-hidden />
      {name}
    </UnstyledButton>
  );
}

function Completeness({ label, filled, rows }: { label: string; filled: number; rows: number }) {
  const percent = rows === 0 ? 0 : (100 * filled) / rows;
  return (
    <Group gap="xs" wrap="nowrap">
      <Progress.Root size={6} w={88}>
        <Progress.Section value={percent} aria-label={`Rows that have ${label}`} />
      </Progress.Root>
      <Text span size="xs" c="dimmed" className="numeric">
        {filled === rows ? `all ${plural(rows, 'row')}` : `${formatNumber(filled)} of ${plural(rows, 'row')}`}
      </Text>
    </Group>
  );
}

function IssueCount({ group: { attribute, issues }, selected }: { group: IssueGroup; selected: number }) {
  const count = issuesIn(attribute);
  if (count === 0) return <Badge tone="good">Nothing doubtful</Badge>;
  const matching = issues.length < attribute.issues.length ? `${formatNumber(issues.length)} of ` : '';
  return (
    <Group gap="xs">
      {selected > 0 && (
        <Text span size="xs" c="dimmed" className="numeric">
          {formatNumber(selected)} selected
        </Text>
      )}
      <Badge tone="attention">
        {matching}
        {plural(count, 'value')} to look at
      </Badge>
    </Group>
  );
}
