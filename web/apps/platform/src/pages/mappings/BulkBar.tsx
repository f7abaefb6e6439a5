import { Button, Group, Kbd, Paper, Text, Transition } from '@mantine/core';
import { IconCheck, IconX } from '@tabler/icons-react';
import type { Verdict } from '../../api/review';
import classes from './Mappings.module.css';

interface BulkBarProps {
  count: number;
  busy: boolean;
  onDecide: (verdict: Verdict) => void;
  onClear: () => void;
}

export function BulkBar({ count, busy, onDecide, onClear }: BulkBarProps) {
  return (
    <Transition mounted={count > 0} transition="slide-up" duration={150}>
      {(style) => (
        <div className={classes.bulkPlace} style={style}>
          <Paper
            shadow="lg"
            withBorder
            className={classes.bulk ?? ''}
            role="region"
            aria-label="Selected mappings"
          >
            <Text size="sm" fw={550} className="numeric" aria-live="polite">
              {count} selected
            </Text>
            <Group gap="xs" wrap="nowrap">
              <Button
                size="sm"
                leftSection={<IconCheck size={16} aria-hidden />}
                rightSection={
                  <Kbd size="xs" aria-hidden visibleFrom="sm">
                    a
                  </Kbd>
                }
                loading={busy}
                onClick={() => onDecide('approve')}
              >
                Approve
              </Button>
              <Button
                size="sm"
                variant="default"
                leftSection={<IconX size={16} aria-hidden />}
                rightSection={
                  <Kbd size="xs" aria-hidden visibleFrom="sm">
                    r
                  </Kbd>
                }
                disabled={busy}
                onClick={() => onDecide('reject')}
              >
                Reject
              </Button>
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
