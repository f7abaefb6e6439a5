import { useHotkeys } from '@mantine/hooks';
import type { Review } from '../../api/review';
import { emptySelection, type Selection, toggle } from '../../lib/selection';

interface ReviewKeys {
  shownIds: readonly string[];
  selectedIds: readonly string[];
  currentId: string | null;
  setCurrentId: (id: string) => void;
  setSelection: (update: (selection: Selection) => Selection) => void;
  decide: (review: Review) => void;
  enabled: boolean;
}

/** The review by keyboard. Keys typed into a text field are text; checkboxes let them through. */
export function useReviewKeys(keys: ReviewKeys): void {
  const { shownIds, selectedIds, currentId, setCurrentId, setSelection, decide, enabled } = keys;
  const index = currentId === null ? -1 : shownIds.indexOf(currentId);

  const move = (by: number) => {
    const next = shownIds[Math.max(0, Math.min(shownIds.length - 1, index + by))];
    if (next !== undefined) setCurrentId(next);
  };
  const subject = selectedIds.length > 0 ? selectedIds : index < 0 || currentId === null ? [] : [currentId];
  const guarded = (action: () => void) => (event: KeyboardEvent) => {
    if (isTyping(event.target)) return;
    event.preventDefault();
    action();
  };

  useHotkeys(
    [
      ['j', guarded(() => move(1)), { preventDefault: false }],
      ['k', guarded(() => move(-1)), { preventDefault: false }],
      [
        'x',
        guarded(() => enabled && index >= 0 && currentId && setSelection((s) => toggle(s, currentId))),
        { preventDefault: false },
      ],
      ['a', guarded(() => decide({ verdict: 'approve', ids: subject })), { preventDefault: false }],
      ['r', guarded(() => decide({ verdict: 'reject', ids: subject })), { preventDefault: false }],
      ['/', guarded(() => document.getElementById('mapping-search')?.focus()), { preventDefault: false }],
      ['Escape', guarded(() => setSelection(() => emptySelection)), { preventDefault: false }],
    ],
    [],
  );
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return target.type !== 'checkbox' && target.type !== 'radio';
  return (
    target instanceof HTMLTextAreaElement || target.closest('[role="dialog"], [role="listbox"]') !== null
  );
}
