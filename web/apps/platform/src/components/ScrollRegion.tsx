import type { ReactNode } from 'react';

interface ScrollRegionProps {
  label: string;
  className?: string | undefined;
  busy?: boolean;
  children: ReactNode;
}

/** Wide content scrolls in here, and not the page; it takes focus, so that the keyboard can scroll it too. */
export function ScrollRegion({ label, className = '', busy = false, children }: ScrollRegionProps) {
  const classNames = `card table-scroll ${className}`;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region has to be reachable by keyboard
    <section className={classNames} aria-label={label} aria-busy={busy} tabIndex={0}>
      {children}
    </section>
  );
}
