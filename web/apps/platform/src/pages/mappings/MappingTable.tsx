import { Checkbox, Table, Text } from '@mantine/core';
import { useCallback, useEffect, useMemo, useRef } from 'react';
import { useChooseTarget } from '../../api/mutations';
import type { FieldMapping, TargetAttribute } from '../../api/types';
import { announceFailure } from '../../components/feedback';
import review from '../../components/review/Review.module.css';
import { extend, type Selection, toggle, toggleAll } from '../../lib/selection';
import { MappingRow } from './MappingRow';
import classes from './Mappings.module.css';

interface MappingTableProps {
  importId: string;
  mappings: readonly FieldMapping[];
  targets: readonly TargetAttribute[];
  selection: Selection;
  onSelection: (update: (selection: Selection) => Selection) => void;
  currentId: string | null;
  onCurrent: (id: string) => void;
  mayReview: boolean;
}

const HEADERS = ['Source column', 'Sample values', 'Target', 'Confidence', 'Status'];

export function MappingTable(props: MappingTableProps) {
  const { importId, mappings, targets, selection, onSelection, currentId, onCurrent, mayReview } = props;
  const { mutate: chooseTarget } = useChooseTarget(importId);
  const shownIds = useMemo(() => mappings.map(({ id }) => id), [mappings]);
  // Rows are memoised; through the ref their handlers stay the same while the order shown changes.
  const order = useRef(shownIds);
  useEffect(() => {
    order.current = shownIds;
  }, [shownIds]);

  const options = useMemo(
    () => targets.map(({ name, label, description }) => ({ value: name, label, description })),
    [targets],
  );
  const select = useCallback(
    (id: string, range: boolean) =>
      onSelection((before) => (range ? extend(before, id, order.current) : toggle(before, id))),
    [onSelection],
  );
  const choose = useCallback(
    (mappingId: string, target: string | null) =>
      chooseTarget(
        { mappingId, target },
        { onError: (error) => announceFailure('The target was not changed', error) },
      ),
    [chooseTarget],
  );

  const selected = shownIds.filter((id) => selection.ids.has(id)).length;
  return (
    <section className={`card ${review.tableCard}`} aria-label="Field mappings">
      <Table className={`${review.table} ${classes.table}`} horizontalSpacing="md" verticalSpacing={10}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th className={review.check ?? ''} scope="col">
              {mayReview && (
                <Checkbox
                  aria-label="Select all shown mappings"
                  checked={selected > 0 && selected === shownIds.length}
                  indeterminate={selected > 0 && selected < shownIds.length}
                  onChange={() => onSelection((before) => toggleAll(before, shownIds))}
                />
              )}
            </Table.Th>
            {HEADERS.map((header) => (
              <Table.Th key={header} scope="col">
                <Text span size="xs" c="dimmed" fw={550}>
                  {header}
                </Text>
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {mappings.map((mapping) => (
            <MappingRow
              key={mapping.id}
              mapping={mapping}
              options={options}
              selected={selection.ids.has(mapping.id)}
              current={mapping.id === currentId}
              mayReview={mayReview}
              onSelect={select}
              onCurrent={onCurrent}
              onChoose={choose}
            />
          ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}
