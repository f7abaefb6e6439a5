import { Button } from '@mantine/core';
import { usePrefetchOnIntent } from '@unstale/client/react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { getDataQuality } from '../api/reads';
import { pages } from '../pages/pages';

interface CleansingLinkProps {
  importId: string;
  children?: ReactNode;
}

/** Leads to the doubtful values of an import, which are looked for when somebody is about to go there. */
export function CleansingLink({ importId, children = 'Data cleansing' }: CleansingLinkProps) {
  const onIntent = usePrefetchOnIntent();
  const reads = [getDataQuality({ import_id: importId })];
  return (
    <Button
      component={Link}
      to={`/imports/${importId}/cleansing`}
      variant="default"
      {...onIntent(reads, () => void pages.cleansing())}
    >
      {children}
    </Button>
  );
}
