import { Button } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { getDataQuality } from '../api/reads';
import { useIntent } from '../session/intent';

interface CleansingLinkProps {
  importId: string;
  children?: ReactNode;
}

/** Leads to the doubtful values of an import, which are looked for when somebody is about to go there. */
export function CleansingLink({ importId, children = 'Data cleansing' }: CleansingLinkProps) {
  const onIntent = useIntent();
  const to = `/imports/${importId}/cleansing`;
  const reads = [getDataQuality({ import_id: importId })];
  return (
    <Button component={Link} to={to} variant="default" {...onIntent(to, reads)}>
      {children}
    </Button>
  );
}
