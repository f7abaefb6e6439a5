import { useState } from 'react';
import type { AssetPage } from '../../api/types';
import { isCustom } from '../../lib/mappings';

type Columns = AssetPage['columns'];

/** More columns that are kept as they are than anybody reads side by side are shown to who asks for them. */
const CUSTOM_SHOWN_MAX = 12;

/** The columns that are kept as they are. */
export const customOf = (columns: Columns): Columns => columns.filter(({ name }) => isCustom(name));

/** Which columns of the inventory are shown; kept while the page is open. */
export function useHiddenColumns() {
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [showUnmapped, setShowUnmapped] = useState(false);
  const [customWanted, setCustomWanted] = useState<boolean | null>(null);
  const toggle = (name: string) =>
    setHidden((before) => {
      const next = new Set(before);
      if (!next.delete(name)) next.add(name);
      return next;
    });
  const showsCustom = (columns: Columns) => customWanted ?? customOf(columns).length <= CUSTOM_SHOWN_MAX;
  return {
    hidden,
    toggle,
    showUnmapped,
    toggleUnmapped: () => setShowUnmapped((before) => !before),
    showsCustom,
    setCustom: setCustomWanted,
    shown: (columns: Columns): Columns =>
      columns.filter(({ name }) => (isCustom(name) ? showsCustom(columns) : !hidden.has(name))),
  };
}
