import { type HotkeyItem, useHotkeys } from '@mantine/hooks';
import { emptySelection, type Selection, toggle } from '../../lib/selection';

interface RowKeys {
  searchId: string;
  shownIds: readonly string[];
  selectedIds: readonly string[];
  currentId: string | null;
  setCurrentId: (id: string) => void;
  setSelection: (update: (selection: Selection) => Selection) => void;
  /** Whether rows can be selected. */
  enabled: boolean;
  /** By key: what is done with the selection, or else with the current row. */
  actions: Readonly<Record<string, (ids: readonly string[]) => void>>;
}

/** Rows by keyboard. Keys typed into a text field are text; checkboxes let them through. */
export function useRowKeys(keys: RowKeys): void {
  const { searchId, shownIds, selectedIds, currentId, setCurrentId, setSelection, enabled, actions } = keys;
  const index = currentId === null ? -1 : shownIds.indexOf(currentId);

  const move = (by: number) => {
    const next = shownIds[Math.max(0, Math.min(shownIds.length - 1, index + by))];
    if (next !== undefined) setCurrentId(next);
  };
  const subject = selectedIds.length > 0 ? selectedIds : index < 0 || currentId === null ? [] : [currentId];
  const on = (key: string, action: () => void): HotkeyItem => [
    key,
    (event) => {
      if (isTyping(event.target)) return;
      event.preventDefault();
      action();
    },
    { preventDefault: false },
  ];

  useHotkeys(
    [
      on('j', () => move(1)),
      on('k', () => move(-1)),
      on('x', () => enabled && index >= 0 && currentId && setSelection((s) => toggle(s, currentId))),
      on('/', () => document.getElementById(searchId)?.focus()),
      on('Escape', () => setSelection(() => emptySelection)),
      ...Object.entries(actions).map(([key, act]) => on(key, () => act(subject))),
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
