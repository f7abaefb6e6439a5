import { Button, Kbd } from '@mantine/core';
import { IconCheck, IconX } from '@tabler/icons-react';
import type { Verdict } from '../../api/review';
import { SelectionBar } from '../../components/review/SelectionBar';

interface BulkBarProps {
  count: number;
  busy: boolean;
  onDecide: (verdict: Verdict) => void;
  onClear: () => void;
}

export function BulkBar({ count, busy, onDecide, onClear }: BulkBarProps) {
  return (
    <SelectionBar label="Selected mappings" count={count} busy={busy} onClear={onClear}>
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
    </SelectionBar>
  );
}
