import { Button, Checkbox, Group, Stack, Text } from '@mantine/core';
import { IconArrowBackUp } from '@tabler/icons-react';
import { useState } from 'react';
import { useColleagueName, useUserContext } from '../../api/queries';
import type { ValueCorrection } from '../../api/types';
import { type Column, DataTable } from '../../components/DataTable';
import { Section } from '../../components/Section';
import { TimeAgo } from '../../components/TimeAgo';
import { isForetold, nameOf } from '../../lib/cleansing';
import { formatNumber, plural } from '../../lib/format';
import { emptySelection, toggle, toggleAll, visibleSelection } from '../../lib/selection';
import { usePermissions } from '../../session/permissions';
import { ShownValue } from './ShownValue';
import { useUndo } from './useCorrect';

/** The latest, as long as nobody asks for all. */
const SOME = 10;

/** What was corrected, by whom and when, and the way back. */
export function Corrections({
  importId,
  corrections,
}: {
  importId: string;
  corrections: readonly ValueCorrection[];
}) {
  const [showsAll, setShowsAll] = useState(false);
  const [selection, setSelection] = useState(emptySelection);
  const mayCorrect = usePermissions()('mappings:review');
  const { undo, busy } = useUndo(importId);
  const myId = useUserContext().data?.user.id;
  const nameOf = useColleagueName(corrections.some((each) => each.corrected_by !== myId));

  const shown = showsAll ? corrections : corrections.slice(0, SOME);
  const undoable = shown.filter((each) => !isForetold(each)).map(({ id }) => id);
  const selectedIds = visibleSelection(selection, undoable);

  const columns: [Column<ValueCorrection>, ...Column<ValueCorrection>[]] = [
    {
      key: 'column',
      header: 'Column',
      render: (correction) => (
        <Group gap="sm" wrap="nowrap">
          {mayCorrect && (
            <Checkbox
              aria-label={`Select the correction of ${nameOfValue(correction)}`}
              checked={selection.ids.has(correction.id)}
              disabled={isForetold(correction)}
              onChange={() => setSelection((before) => toggle(before, correction.id))}
            />
          )}
          <Stack gap={0}>
            <Text span size="sm" fw={550} className="mono">
              {correction.source_column}
            </Text>
            {correction.target_attribute === null && (
              <Text span size="xs" c="dimmed">
                not approved any more
              </Text>
            )}
          </Stack>
        </Group>
      ),
    },
    { key: 'original', header: 'In the file', render: ({ original }) => <ShownValue value={original} /> },
    {
      key: 'shown',
      header: 'Shown instead',
      render: ({ replacement }) => <ShownValue value={replacement} />,
    },
    { key: 'rows', header: 'Rows', align: 'right', render: ({ rows }) => formatNumber(rows) },
    { key: 'by', header: 'By', render: ({ corrected_by }) => nameOf(corrected_by) },
    { key: 'at', header: 'When', render: ({ corrected_at }) => <TimeAgo at={corrected_at} /> },
  ];

  return (
    <Section
      title="Corrections made"
      note="The file’s own values are kept; undoing a correction shows them again."
      action={
        mayCorrect && (
          <Group gap="md">
            <Checkbox
              label={showsAll || corrections.length <= SOME ? 'Select all' : `Select the latest ${SOME}`}
              checked={selectedIds.length > 0 && selectedIds.length === undoable.length}
              indeterminate={selectedIds.length > 0 && selectedIds.length < undoable.length}
              disabled={undoable.length === 0}
              onChange={() => setSelection((before) => toggleAll(before, undoable))}
            />
            <Button
              size="sm"
              variant="default"
              leftSection={<IconArrowBackUp size={16} aria-hidden />}
              loading={busy}
              disabled={selectedIds.length === 0}
              onClick={() => {
                undo(selectedIds);
                setSelection(emptySelection);
              }}
            >
              {selectedIds.length === 0
                ? 'Undo the selected'
                : `Undo ${plural(selectedIds.length, 'correction')}`}
            </Button>
          </Group>
        )
      }
    >
      <DataTable
        label="Values that were corrected"
        rows={shown}
        columns={columns}
        rowKey={({ id }) => id}
        {...(mayCorrect
          ? {
              actions: (correction: ValueCorrection) => (
                <Button
                  size="xs"
                  variant="default"
                  disabled={isForetold(correction)}
                  aria-label={`Undo the correction of ${nameOfValue(correction)}`}
                  onClick={() => undo([correction.id])}
                >
                  Undo
                </Button>
              ),
            }
          : {})}
      />
      {corrections.length > SOME && (
        <Button mt="sm" size="compact-sm" variant="subtle" onClick={() => setShowsAll(!showsAll)}>
          {showsAll
            ? `Show the latest ${SOME} only`
            : `Show all ${formatNumber(corrections.length)} corrections`}
        </Button>
      )}
    </Section>
  );
}

const nameOfValue = ({ original, source_column }: ValueCorrection): string =>
  `${nameOf(original)} in ${source_column}`;
