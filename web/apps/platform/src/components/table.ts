import { Table } from '@mantine/core';

const { tr, td, th } = Table.classes as Readonly<Record<'tr' | 'td' | 'th', string>>;

/**
 * What makes plain elements look as a table's own components do: hundreds of cells, each two components that look up a theme
 * and props, take longer than everything else on the page.
 */
export const row = { className: tr, 'data-with-row-border': true, 'data-hover': true } as const;

export const cell = (className = '') => ({ className: `${td} ${className}` });

export const head = (className = '') => ({ className: `${th} ${className}` });
