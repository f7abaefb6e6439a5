import { Button, Kbd } from '@mantine/core';
import { IconCheck } from '@tabler/icons-react';
import { SelectionBar } from '../../components/review/SelectionBar';
import { plural } from '../../lib/format';

interface CorrectionBarProps {
  selected: number;
  /** Those that have a replacement. */
  ready: number;
  busy: boolean;
  onCorrect: () => void;
  onClear: () => void;
}

export function CorrectionBar({ selected, ready, busy, onCorrect, onClear }: CorrectionBarProps) {
  return (
    <SelectionBar label="Selected values" count={selected} busy={busy} onClear={onClear}>
      <Button
        size="sm"
        leftSection={<IconCheck size={16} aria-hidden />}
        rightSection={
          <Kbd size="xs" aria-hidden visibleFrom="sm">
            c
          </Kbd>
        }
        loading={busy}
        disabled={ready === 0}
        onClick={onCorrect}
      >
        {ready === 0 ? 'No replacement yet' : `Correct ${plural(ready, 'value')}`}
      </Button>
    </SelectionBar>
  );
}
