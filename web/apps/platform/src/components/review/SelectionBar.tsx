import { Button, Group, Paper, Text, Transition } from '@mantine/core';
import type { ReactNode } from 'react';
import { formatNumber } from '../../lib/format';
import classes from './Review.module.css';

interface SelectionBarProps {
  label: string;
  count: number;
  busy: boolean;
  onClear: () => void;
  /** What can be done with the selection. */
  children: ReactNode;
}

/** Comes up from below while something is selected. */
export function SelectionBar({ label, count, busy, onClear, children }: SelectionBarProps) {
  return (
    <Transition mounted={count > 0} transition="slide-up" duration={150}>
      {(style) => (
        <div className={classes.bulkPlace} style={style} data-selection-bar>
          <Paper shadow="lg" withBorder className={classes.bulk ?? ''} role="region" aria-label={label}>
            <Text size="sm" fw={550} className="numeric" aria-live="polite">
              {formatNumber(count)} selected
            </Text>
            <Group gap="xs" wrap="nowrap">
              {children}
              <Button size="sm" variant="subtle" color="gray" disabled={busy} onClick={onClear}>
                Clear
              </Button>
            </Group>
          </Paper>
        </div>
      )}
    </Transition>
  );
}
