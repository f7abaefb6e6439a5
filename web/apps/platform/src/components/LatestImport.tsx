import { Button } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link, Navigate } from 'react-router';
import { useImports } from '../api/queries';
import { useEngagementId } from '../session/session';
import { PageHeader } from './PageHeader';
import { QueryView } from './QueryView';
import { Notice, PageLoading } from './states';

interface LatestImportProps {
  /** The page of an import, below its address. */
  page: 'mappings' | 'cleansing';
  title: string;
  icon: ReactNode;
  /** What is said while nothing has been imported. */
  none: string;
  children: ReactNode;
}

/** An entry of the navigation that leads to a page of the newest import. */
export function LatestImport({ page, title, icon, none, children }: LatestImportProps) {
  const imports = useImports(useEngagementId() ?? '');
  return (
    <QueryView query={imports} loading={<PageLoading />}>
      {({ items }) => {
        const latest = items.find(({ status }) => status === 'completed');
        if (latest) return <Navigate to={`/imports/${latest.id}/${page}`} replace />;
        return (
          <>
            <PageHeader title={title} />
            <Notice
              icon={icon}
              title={none}
              action={
                <Button component={Link} to="/imports">
                  Import a CSV file
                </Button>
              }
            >
              {children}
            </Notice>
          </>
        );
      }}
    </QueryView>
  );
}
