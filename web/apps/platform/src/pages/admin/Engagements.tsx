import { Button, Group, Modal, Text } from '@mantine/core';
import { IconBriefcase, IconPlus } from '@tabler/icons-react';
import { useState } from 'react';
import { useDeleteEngagement } from '../../api/mutations';
import { useAdminEngagements } from '../../api/queries';
import type { Engagement } from '../../api/types';
import { EngagementBadge } from '../../components/badges';
import { type Column, DataTable } from '../../components/DataTable';
import { QueryView } from '../../components/QueryView';
import { Notice } from '../../components/states';
import { TimeAgo } from '../../components/TimeAgo';
import { formatNumber, formatPeriod } from '../../lib/format';
import { EngagementForm } from './EngagementForm';
import { useCascadingDelete } from './useCascadingDelete';

const columns: [Column<Engagement>, ...Column<Engagement>[]] = [
  {
    key: 'name',
    header: 'Engagement',
    render: (engagement) => (
      <div>
        <Text size="sm" fw={550}>
          {engagement.name}
        </Text>
        <Text size="xs" c="dimmed">
          {engagement.client_name}
        </Text>
      </div>
    ),
  },
  { key: 'status', header: 'Status', render: (engagement) => <EngagementBadge status={engagement.status} /> },
  {
    key: 'period',
    header: 'Period',
    render: (engagement) => formatPeriod(engagement.starts_on, engagement.ends_on) ?? '–',
  },
  {
    key: 'flows',
    header: 'Flows',
    align: 'right',
    render: (engagement) => formatNumber(engagement.flow_count),
  },
  { key: 'updated', header: 'Updated', render: (engagement) => <TimeAgo at={engagement.updated_at} /> },
];

/** `null` stands for an engagement that is being created. */
type Edited = Engagement | null | undefined;

export function Page() {
  const engagements = useAdminEngagements();
  const [edited, setEdited] = useState<Edited>(undefined);
  const remove = useCascadingDelete(useDeleteEngagement().mutate, 'engagement');
  const close = () => setEdited(undefined);
  const create = (
    <Button leftSection={<IconPlus size={17} />} onClick={() => setEdited(null)}>
      New engagement
    </Button>
  );

  // Here and not where the rows are, so that it stays the same, and with it every row that did not change.
  const actions = (engagement: Engagement) => (
    <>
      <Button
        size="xs"
        variant="default"
        onClick={() => setEdited(engagement)}
        aria-label={`Edit ${engagement.name}`}
      >
        Edit
      </Button>
      <Button
        size="xs"
        variant="subtle"
        color="red"
        onClick={() => remove(engagement)}
        aria-label={`Delete ${engagement.name}`}
      >
        Delete
      </Button>
    </>
  );

  return (
    <>
      <Group justify="flex-end" mb="md">
        {create}
      </Group>
      <QueryView query={engagements}>
        {({ items }) =>
          items.length === 0 ? (
            <Notice icon={<IconBriefcase size={26} />} title="No engagements yet" action={create}>
              An engagement is one migration project of a client; discovery happens inside it.
            </Notice>
          ) : (
            <DataTable
              label="Engagements"
              rows={items}
              columns={columns}
              rowKey={({ id }) => id}
              actions={actions}
            />
          )
        }
      </QueryView>
      <Modal
        opened={edited !== undefined}
        onClose={close}
        title={edited ? 'Edit the engagement' : 'New engagement'}
      >
        {edited !== undefined && <EngagementForm engagement={edited} onDone={close} />}
      </Modal>
    </>
  );
}
