import { ActionIcon, Anchor, Button, Checkbox, Input, Table, Text, Tooltip } from '@mantine/core';
import { IconCircleOff } from '@tabler/icons-react';
import { type KeyboardEvent, memo, type RefObject, useEffect, useRef } from 'react';
import { Link } from 'react-router';
import type { DataType, QualityIssue } from '../../api/types';
import { IssueBadge } from '../../components/badges';
import review from '../../components/review/Review.module.css';
import {
  type Draft,
  explain,
  isCorrectable,
  nameOf,
  replacementOf,
  VALUE_CHARS_MAX,
} from '../../lib/cleansing';
import { formatNumber, plural } from '../../lib/format';
import classes from './Cleansing.module.css';
import type { RowActions } from './IssueTable';
import { ShownValue } from './ShownValue';

interface IssueRowProps extends RowActions {
  id: string;
  importId: string;
  issue: QualityIssue;
  label: string;
  dataType: DataType;
  draft: Draft | undefined;
  selected: boolean;
  /** Whether keys act on this row, and whether its replacement is being written. */
  current: 'row' | 'editing' | null;
  mayCorrect: boolean;
}

export const IssueRow = memo(function IssueRow(props: IssueRowProps) {
  const { id, importId, issue, label, dataType, draft, selected, current, mayCorrect } = props;
  const { onSelect, onCurrent, onDraft, onCorrect } = props;
  const row = useRef<HTMLTableRowElement>(null);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (current === null) return;
    if (current === 'editing' && input.current) {
      input.current.focus();
      input.current.select();
      return;
    }
    // Who is in the row already stays where they are: a row that moves while a button is pressed is not clicked.
    if (row.current?.contains(document.activeElement)) return;
    row.current?.scrollIntoView({ block: 'nearest' });
    row.current?.focus({ preventScroll: true });
  }, [current]);

  const named = `${nameOf(issue.value)} in ${label}`;
  const correctable = mayCorrect && isCorrectable(issue);
  return (
    <Table.Tr
      ref={row}
      tabIndex={current ? 0 : -1}
      className={`${review.row} ${classes.issue}`}
      data-current={current !== null}
      data-selected={selected}
      data-kind={issue.kind}
      onFocus={() => onCurrent(id)}
    >
      <Table.Td className={review.check ?? ''}>
        {correctable && (
          <Checkbox
            aria-label={`Select ${named}`}
            checked={selected}
            onChange={(event) => onSelect(id, (event.nativeEvent as MouseEvent).shiftKey)}
          />
        )}
      </Table.Td>
      <Table.Td className={classes.kind ?? ''}>
        <Tooltip label={explain(issue.kind, { label, data_type: dataType })} position="top-start">
          <span>
            <IssueBadge kind={issue.kind} />
          </span>
        </Tooltip>
      </Table.Td>
      <Table.Td className={classes.valueCell ?? ''}>
        <ShownValue value={issue.value} />
        {issue.kind === 'duplicate' && <InInventory importId={importId} value={issue.value} />}
      </Table.Td>
      <Table.Td className={classes.rows ?? ''}>
        <Text span size="sm" className="numeric">
          {plural(issue.rows, 'row')}
        </Text>{' '}
        <Text span size="xs" c="dimmed" className={`numeric ${classes.rowNumbers}`}>
          {rowNumbers(issue)}
        </Text>
      </Table.Td>
      {correctable ? (
        <Replacement
          id={id}
          issue={issue}
          named={named}
          draft={draft}
          input={input}
          onDraft={onDraft}
          onCorrect={onCorrect}
          onLeave={() => row.current?.focus()}
        />
      ) : (
        <>
          <Table.Td className={classes.replacement ?? ''}>
            <Suggestion issue={issue} mayCorrect={mayCorrect} />
          </Table.Td>
          <Table.Td className={classes.action ?? ''} />
        </>
      )}
    </Table.Tr>
  );
});

interface ReplacementProps extends Pick<RowActions, 'onDraft' | 'onCorrect'> {
  id: string;
  issue: QualityIssue;
  named: string;
  draft: Draft | undefined;
  input: RefObject<HTMLInputElement | null>;
  onLeave: () => void;
}

/** The last two cells of a row: what is to stand for the value, and that it shall. */
function Replacement({ id, issue, named, draft, input, onDraft, onCorrect, onLeave }: ReplacementProps) {
  const replacement = replacementOf(issue, draft);
  const text = draft === undefined ? (issue.suggestion ?? '') : (draft ?? '');
  const isNoValue = replacement === '';
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Enter') onCorrect(id);
    else if (event.key === 'Escape') {
      onDraft(id, undefined);
      onLeave();
    } else return;
    event.preventDefault();
  };
  const chooseNoValue = () => {
    onDraft(id, null);
    input.current?.focus();
  };
  return (
    <>
      <Table.Td className={classes.replacement ?? ''}>
        <Input
          ref={input}
          size="sm"
          aria-label={`Replacement of ${named}`}
          placeholder={isNoValue ? 'no value' : 'Write a value'}
          className={isNoValue ? (classes.noValue ?? '') : ''}
          value={text}
          maxLength={VALUE_CHARS_MAX}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => onDraft(id, event.currentTarget.value)}
          onKeyDown={onKeyDown}
          rightSectionPointerEvents="all"
          rightSection={
            issue.value !== '' &&
            !isNoValue && (
              <ActionIcon
                variant="subtle"
                color="gray"
                size="sm"
                title="Show no value"
                aria-label={`Show no value for ${named}`}
                onClick={chooseNoValue}
              >
                <IconCircleOff size={15} aria-hidden />
              </ActionIcon>
            )
          }
        />
      </Table.Td>
      <Table.Td className={classes.action ?? ''}>
        <Button
          size="xs"
          variant="default"
          disabled={replacement === null}
          aria-label={`Correct ${named}`}
          onClick={() => onCorrect(id)}
        >
          Correct
        </Button>
      </Table.Td>
    </>
  );
}

function InInventory({ importId, value }: { importId: string; value: string }) {
  return (
    <Anchor
      component={Link}
      to={`/inventory?${new URLSearchParams({ import: importId, q: value.trim() })}`}
      size="xs"
      className={classes.inInventory ?? ''}
      aria-label={`Show in the inventory: ${value}`}
    >
      Show in the inventory
    </Anchor>
  );
}

function rowNumbers({ rows, row_numbers }: QualityIssue): string {
  const numbers = row_numbers.map(formatNumber).join(', ');
  return rows > row_numbers.length ? `no. ${numbers}, …` : `no. ${numbers}`;
}

function Suggestion({ issue, mayCorrect }: { issue: QualityIssue; mayCorrect: boolean }) {
  if (issue.suggestion !== null) return <ShownValue value={issue.suggestion} />;
  if (!mayCorrect) return null;
  return (
    <Text size="xs" c="dimmed">
      {issue.kind === 'duplicate'
        ? 'Rows of one name cannot be told apart by correcting it.'
        : 'Too long to be corrected here.'}
    </Text>
  );
}
