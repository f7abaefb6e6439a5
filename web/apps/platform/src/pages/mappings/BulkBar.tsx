import { Button, Kbd } from '@mantine/core';
import { IconCheck, IconColumnInsertRight, IconX } from '@tabler/icons-react';
import { SelectionBar } from '../../components/review/SelectionBar';
import { formatNumber } from '../../lib/format';
import type { Decision } from '../../lib/mappings';

interface BulkBarProps {
  count: number;
  /** How many of them mean nothing yet. */
  withoutTarget: number;
  busy: boolean;
  onDecide: (decision: Decision) => void;
  onClear: () => void;
}

export function BulkBar({ count, withoutTarget, busy, onDecide, onClear }: BulkBarProps) {
  return (
    <SelectionBar label="Selected mappings" count={count} busy={busy} onClear={onClear}>
      <Button
        size="sm"
        leftSection={<IconCheck size={16} aria-hidden />}
        rightSection={<Key of="a" />}
        loading={busy}
        onClick={() => onDecide('approve')}
      >
        Approve
      </Button>
      <Button
        size="sm"
        variant="default"
        leftSection={<IconX size={16} aria-hidden />}
        rightSection={<Key of="r" />}
        disabled={busy}
        onClick={() => onDecide('reject')}
      >
        Reject
      </Button>
      {withoutTarget > 0 && (
        <Button
          size="sm"
          variant="default"
          leftSection={<IconColumnInsertRight size={16} aria-hidden />}
          rightSection={<Key of="c" />}
          title="Columns without a target become attributes of their own, called as they are in the file"
          disabled={busy}
          onClick={() => onDecide('keep')}
        >
          Keep {formatNumber(withoutTarget)} as is
        </Button>
      )}
    </SelectionBar>
  );
}

/** The key that does the same. */
function Key({ of }: { of: string }) {
  return (
    <Kbd size="xs" aria-hidden visibleFrom="sm">
      {of}
    </Kbd>
  );
}
