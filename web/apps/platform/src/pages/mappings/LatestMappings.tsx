import { Button } from '@mantine/core';
import { IconArrowsExchange } from '@tabler/icons-react';
import { Link, Navigate } from 'react-router';
import { useImports } from '../../api/queries';
import { PageHeader } from '../../components/PageHeader';
import { QueryView } from '../../components/QueryView';
import { Notice, PageLoading } from '../../components/states';
import { useEngagementId } from '../../session/session';

/** The navigation's entry: the newest import that has mappings. */
export function Page() {
  const imports = useImports(useEngagementId() ?? '');
  return (
    <QueryView query={imports} loading={<PageLoading />}>
      {({ items }) => {
        const latest = items.find(({ status }) => status === 'completed');
        if (latest) return <Navigate to={`/imports/${latest.id}/mappings`} replace />;
        return (
          <>
            <PageHeader title="Field mappings" />
            <Notice
              icon={<IconArrowsExchange size={26} />}
              title="Nothing to map yet"
              action={
                <Button component={Link} to="/imports">
                  Import a CSV file
                </Button>
              }
            >
              When a file has been imported, its columns and their suggested targets are reviewed here.
            </Notice>
          </>
        );
      }}
    </QueryView>
  );
}
