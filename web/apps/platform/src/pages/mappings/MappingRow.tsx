import { Checkbox, Text } from '@mantine/core';
import { memo, useEffect, useRef } from 'react';
import type { FieldMapping } from '../../api/types';
import { MappingBadge } from '../../components/badges';
import review from '../../components/review/Review.module.css';
import { TimeAgo } from '../../components/TimeAgo';
import { cell, row as rowProps } from '../../components/table';
import { formatPercent } from '../../lib/format';
import { confidenceLevel } from '../../lib/mappings';
import classes from './Mappings.module.css';
import { type TargetOption, TargetSelect } from './TargetSelect';

interface MappingRowProps {
  mapping: FieldMapping;
  options: TargetOption[];
  selected: boolean;
  current: boolean;
  mayReview: boolean;
  onSelect: (id: string, range: boolean) => void;
  onCurrent: (id: string) => void;
  onChoose: (id: string, target: string | null) => void;
}

export const MappingRow = memo(function MappingRow(props: MappingRowProps) {
  const { mapping, options, selected, current, mayReview, onSelect, onCurrent, onChoose } = props;
  const row = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    // Who is in the row already, in its select, say, or with the pointer on its checkbox, stays where they are: a row that
    // moves between pressing and releasing the button is not clicked.
    if (!current || row.current?.contains(document.activeElement)) return;
    row.current?.scrollIntoView({ block: 'nearest' });
    row.current?.focus({ preventScroll: true });
  }, [current]);

  return (
    <tr
      {...rowProps}
      ref={row}
      data-hover={undefined}
      tabIndex={current ? 0 : -1}
      className={`${rowProps.className} ${review.row} ${classes.row}`}
      data-current={current}
      data-selected={selected}
      data-status={mapping.status}
      onFocus={() => onCurrent(mapping.id)}
    >
      <td {...cell(review.check)}>
        {mayReview && (
          <Checkbox
            aria-label={`Select ${mapping.source_column}`}
            checked={selected}
            onChange={(event) => onSelect(mapping.id, (event.nativeEvent as MouseEvent).shiftKey)}
          />
        )}
      </td>
      <td {...cell(classes.source)}>
        <Text span fw={550} className="mono" style={{ overflowWrap: 'anywhere' }}>
          {mapping.source_column}
        </Text>
      </td>
      <td {...cell(classes.samples)} data-label="Samples">
        <Samples values={mapping.sample_values} />
      </td>
      <td {...cell(classes.target)}>
        <TargetSelect mapping={mapping} options={options} disabled={!mayReview} onChoose={onChoose} />
      </td>
      <td {...cell(classes.confidence)}>
        <Confidence mapping={mapping} />
      </td>
      <td {...cell(classes.status)}>
        <MappingBadge status={mapping.status} />
        {mapping.reviewed_at && mapping.status !== 'suggested' && (
          <Text size="xs" c="dimmed" mt={2} className={classes.reviewed ?? ''}>
            <TimeAgo at={mapping.reviewed_at} />
          </Text>
        )}
      </td>
    </tr>
  );
});

function Samples({ values }: { values: readonly string[] }) {
  if (values.length === 0) {
    return (
      <Text span size="xs" c="dimmed">
        no values
      </Text>
    );
  }
  return (
    <Text span size="xs" c="dimmed" className={`mono ${classes.sampleText}`} title={values.join('\n')}>
      {values.join(' · ')}
    </Text>
  );
}

function Confidence({ mapping }: { mapping: FieldMapping }) {
  const level = confidenceLevel(mapping);
  return (
    <div className={classes.confidenceCell}>
      {level !== 'none' && (
        <Text span size="sm" fw={550} className="numeric" data-level={level}>
          <span className={classes.level} data-level={level} aria-hidden />
          {formatPercent(100 * mapping.confidence)}
        </Text>
      )}
      <Text span size="xs" c="dimmed" className={classes.reason ?? ''}>
        {mapping.reason}
      </Text>
    </div>
  );
}
