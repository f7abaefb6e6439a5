import { Alert, Button, Group, Text } from '@mantine/core';
import { IconArrowsExchange, IconFilterOff } from '@tabler/icons-react';
import { isApiError } from '@unstale/client';
import { useMemo, useState } from 'react';
import { Link, useParams } from 'react-router';
import { useFieldMappings, useImport, useMappingStatistics, useTargetAttributes } from '../../api/queries';
import { type Review, useReview } from '../../api/review';
import type { FieldMapping, FieldMappings, TargetAttribute } from '../../api/types';
import { CleansingLink } from '../../components/CleansingLink';
import { announce, announceFailure } from '../../components/feedback';
import { ImportChoice } from '../../components/ImportChoice';
import { PageHeader } from '../../components/PageHeader';
import { QueryView } from '../../components/QueryView';
import { useRowKeys } from '../../components/review/useRowKeys';
import { Notice, PageLoading } from '../../components/states';
import { plural } from '../../lib/format';
import { type Decision, filterMappings, type MappingFilter, missingRequired } from '../../lib/mappings';
import { emptySelection, visibleSelection } from '../../lib/selection';
import { usePermissions } from '../../session/permissions';
import { BulkBar } from './BulkBar';
import { MappingTable } from './MappingTable';
import { MappingToolbar, SEARCH_ID } from './MappingToolbar';
import { StatisticsHeader } from './StatisticsHeader';

const DONE: Record<Decision, string> = { approve: 'approved', reject: 'rejected', keep: 'kept as they are' };

export function Page() {
  const { importId = '' } = useParams();
  const mappings = useFieldMappings(importId);
  const targets = useTargetAttributes();
  // Shown further down, and asked for together with the rest.
  useMappingStatistics(importId);
  return (
    <QueryView query={mappings} loading={<PageLoading />}>
      {(data) => (
        // Without their names, chosen targets would look like none.
        <QueryView query={targets} loading={<PageLoading />}>
          {/* The key drops selection and filters with the import they were for. */}
          {({ items }) => <ReviewPage key={importId} mappings={data} targets={items} />}
        </QueryView>
      )}
    </QueryView>
  );
}

interface ReviewPageProps {
  mappings: FieldMappings;
  targets: readonly TargetAttribute[];
}

function ReviewPage({ mappings, targets }: ReviewPageProps) {
  const { import_id: importId, items } = mappings;
  return (
    <>
      <PageHeader
        title="Field mappings"
        back={{ to: `/imports/${importId}`, label: mappings.file_name }}
        description="Approve where each source column goes. Approved columns appear in the asset inventory."
        actions={
          <>
            <ImportChoice importId={importId} engagementId={mappings.engagement_id} page="mappings" />
            {items.length > 0 && <CleansingLink importId={importId}>Next: data cleansing</CleansingLink>}
          </>
        }
      />
      {items.length === 0 ? (
        <NotMappedYet importId={importId} />
      ) : (
        <ReviewBoard mappings={mappings} targets={targets} />
      )}
    </>
  );
}

function ReviewBoard({ mappings: { import_id: importId, items }, targets }: ReviewPageProps) {
  const [filter, setFilter] = useState<MappingFilter>('all');
  const [search, setSearch] = useState('');
  const [selection, setSelection] = useState(emptySelection);
  const [currentId, setCurrentId] = useState<string | null>(null);
  const mayReview = usePermissions()('mappings:review');
  const review = useReview(importId);

  const shown = useMemo(() => filterMappings(items, filter, search), [items, filter, search]);
  const shownIds = useMemo(() => shown.map(({ id }) => id), [shown]);
  const selectedIds = visibleSelection(selection, shownIds);
  const isWithoutTarget = (mapping: FieldMapping) =>
    mapping.target_attribute === null && selection.ids.has(mapping.id);

  const decide = ({ decision, ids }: Review) => {
    if (ids.length === 0 || !mayReview) return;
    review.mutate(
      { decision, ids },
      {
        onSuccess: ({ data: { updated } }) => {
          // What is kept is still to be approved.
          if (decision !== 'keep') setSelection(emptySelection);
          announce(`${plural(updated, decision === 'keep' ? 'column' : 'mapping')} ${DONE[decision]}.`);
        },
        onError: (error) => {
          if (!isApiError(error, 409)) announceFailure('The review was not saved', error);
        },
      },
    );
  };

  useRowKeys({
    searchId: SEARCH_ID,
    shownIds,
    selectedIds,
    currentId,
    setCurrentId,
    setSelection,
    enabled: mayReview,
    actions: {
      a: (ids) => decide({ decision: 'approve', ids }),
      r: (ids) => decide({ decision: 'reject', ids }),
      c: (ids) => decide({ decision: 'keep', ids }),
    },
  });

  return (
    <>
      <StatisticsHeader importId={importId} missing={missingRequired(items, targets)} />
      {isApiError(review.error, 409) && <Conflict error={review.error} onDismiss={review.reset} />}
      <MappingToolbar
        items={items}
        filter={filter}
        onFilter={setFilter}
        search={search}
        onSearch={setSearch}
      />
      {shown.length === 0 ? (
        <Notice
          icon={<IconFilterOff size={26} />}
          title="No mapping matches"
          action={
            <Button
              variant="default"
              onClick={() => {
                setFilter('all');
                setSearch('');
              }}
            >
              Show all mappings
            </Button>
          }
        />
      ) : (
        <MappingTable
          importId={importId}
          mappings={shown}
          targets={targets}
          selection={selection}
          onSelection={setSelection}
          currentId={currentId}
          onCurrent={setCurrentId}
          mayReview={mayReview}
        />
      )}
      {mayReview && (
        <BulkBar
          count={selectedIds.length}
          withoutTarget={shown.filter(isWithoutTarget).length}
          busy={review.isPending}
          onDecide={(decision) => decide({ decision, ids: selectedIds })}
          onClear={() => setSelection(emptySelection)}
        />
      )}
    </>
  );
}

interface ConflictProps {
  error: { title: string; detail: string | undefined; errors: readonly { field: string; message: string }[] };
  onDismiss: () => void;
}

function Conflict({ error, onDismiss }: ConflictProps) {
  return (
    <Alert
      color="red"
      title={error.title}
      role="alert"
      mb="md"
      withCloseButton
      closeButtonLabel="Dismiss"
      onClose={onDismiss}
    >
      <Text size="sm">{error.detail}</Text>
      {error.errors.length > 0 && (
        <ul>
          {error.errors.map(({ field, message }) => (
            <li key={field}>
              {field}: {message}
            </li>
          ))}
        </ul>
      )}
      <Text size="sm" mt={4}>
        Nothing was changed.
      </Text>
    </Alert>
  );
}

function NotMappedYet({ importId }: { importId: string }) {
  const { data } = useImport(importId);
  const failed = data?.status === 'failed';
  return (
    <Notice
      icon={<IconArrowsExchange size={26} />}
      title={failed ? 'This import failed' : 'No mappings yet'}
      action={
        <Group>
          <Button component={Link} to={`/imports/${importId}`}>
            Show the import
          </Button>
        </Group>
      }
    >
      {failed
        ? 'It has no columns to map.'
        : 'The file is still being read. Mappings appear here by themselves.'}
    </Notice>
  );
}
