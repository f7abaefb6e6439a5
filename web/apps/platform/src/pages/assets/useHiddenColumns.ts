import { useState } from 'react';

/** Which columns of the inventory are shown; kept while the page is open. */
export function useHiddenColumns() {
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [showUnmapped, setShowUnmapped] = useState(false);
  const toggle = (name: string) =>
    setHidden((before) => {
      const next = new Set(before);
      if (!next.delete(name)) next.add(name);
      return next;
    });
  return { hidden, toggle, showUnmapped, toggleUnmapped: () => setShowUnmapped((before) => !before) };
}
