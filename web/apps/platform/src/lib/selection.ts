/** Selection of rows by id, as a value: the review page's mouse and keyboard paths share these rules. */
export interface Selection {
  readonly ids: ReadonlySet<string>;
  /** Where a shift-selection starts. */
  readonly anchor: string | null;
}

export const emptySelection: Selection = { ids: new Set(), anchor: null };

export function toggle(selection: Selection, id: string): Selection {
  const ids = new Set(selection.ids);
  if (!ids.delete(id)) ids.add(id);
  return { ids, anchor: id };
}

/** Adds everything between the anchor and `id`, in the order shown; without a visible anchor it toggles. */
export function extend(selection: Selection, id: string, shown: readonly string[]): Selection {
  const from = selection.anchor === null ? -1 : shown.indexOf(selection.anchor);
  const to = shown.indexOf(id);
  if (from < 0 || to < 0) return toggle(selection, id);
  const range = shown.slice(Math.min(from, to), Math.max(from, to) + 1);
  return { ids: new Set([...selection.ids, ...range]), anchor: selection.anchor };
}

export function toggleAll(selection: Selection, shown: readonly string[]): Selection {
  const allSelected = shown.length > 0 && shown.every((id) => selection.ids.has(id));
  return allSelected ? emptySelection : { ids: new Set(shown), anchor: selection.anchor };
}

/** All of `some` beside what is selected, or none of them if all are. */
export function toggleSome(selection: Selection, some: readonly string[]): Selection {
  const ids = new Set(selection.ids);
  const allSelected = some.every((id) => ids.has(id));
  for (const id of some) {
    if (allSelected) ids.delete(id);
    else ids.add(id);
  }
  return { ids, anchor: null };
}

/** What of the selection can be acted on: a row hidden by a filter is never changed unseen. */
export function visibleSelection(selection: Selection, shown: readonly string[]): string[] {
  return shown.filter((id) => selection.ids.has(id));
}
