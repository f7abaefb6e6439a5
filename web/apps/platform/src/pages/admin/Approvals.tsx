import { Button, Group, Modal, Select, Stack, Text } from '@mantine/core';
import { IconUserCheck } from '@tabler/icons-react';
import { useState } from 'react';
import { useApproveUser, useRejectUser } from '../../api/mutations';
import { useClients, usePendingApprovals } from '../../api/queries';
import type { MembershipRole, PendingApproval } from '../../api/types';
import { type Column, DataTable } from '../../components/DataTable';
import { announce, announceFailure, confirmRisk } from '../../components/feedback';
import { QueryView } from '../../components/QueryView';
import { Notice } from '../../components/states';
import { TimeAgo } from '../../components/TimeAgo';
import { useClientId } from '../../session/session';
import { roleOptions } from './options';

const columns: [Column<PendingApproval>, ...Column<PendingApproval>[]] = [
  {
    key: 'name',
    header: 'Person',
    render: (request) => (
      <div>
        <Text size="sm" fw={550}>
          {request.name}
        </Text>
        <Text size="xs" c="dimmed">
          {request.email}
        </Text>
      </div>
    ),
  },
  { key: 'client', header: 'Asked for', render: (request) => request.requested_client ?? '–' },
  {
    key: 'reason',
    header: 'Reason',
    // People write whole paragraphs here; without a bound they would push the actions out of sight.
    render: (request) => (
      <Text size="sm" maw="24rem" lineClamp={4} style={{ whiteSpace: 'normal' }}>
        {request.reason ?? '–'}
      </Text>
    ),
  },
  { key: 'at', header: 'Requested', render: (request) => <TimeAgo at={request.requested_at} /> },
];

export function Page() {
  const requests = usePendingApprovals();
  const [approved, setApproved] = useState<PendingApproval | null>(null);
  // The write itself is another object with every render, and with it every row.
  const { mutate: reject } = useRejectUser();

  const askRejection = (request: PendingApproval) =>
    confirmRisk({
      title: 'Reject this request?',
      body: `${request.name} (${request.email}) will not be able to sign in.`,
      action: 'Reject the request',
      onConfirm: () =>
        reject(request.user_id, {
          onSuccess: () => announce(`The request of ${request.name} was rejected.`),
          onError: (error) => announceFailure('The request was not rejected', error),
        }),
    });

  // Here and not where the rows are, so that it stays the same, and with it every row that did not change.
  const actions = (request: PendingApproval) => (
    <>
      <Button size="xs" onClick={() => setApproved(request)} aria-label={`Approve ${request.name}`}>
        Approve
      </Button>
      <Button
        size="xs"
        variant="default"
        onClick={() => askRejection(request)}
        aria-label={`Reject ${request.name}`}
      >
        Reject
      </Button>
    </>
  );

  return (
    <>
      <QueryView query={requests}>
        {({ items }) =>
          items.length === 0 ? (
            <Notice icon={<IconUserCheck size={26} />} title="Nobody is waiting">
              Requests for access appear here by themselves.
            </Notice>
          ) : (
            <DataTable
              label="Pending approvals"
              rows={items}
              columns={columns}
              rowKey={({ user_id }) => user_id}
              actions={actions}
            />
          )
        }
      </QueryView>
      <Modal
        opened={approved !== null}
        onClose={() => setApproved(null)}
        title={`Approve ${approved?.name ?? ''}`}
      >
        {approved && <Approve request={approved} onDone={() => setApproved(null)} />}
      </Modal>
    </>
  );
}

function Approve({ request, onDone }: { request: PendingApproval; onDone: () => void }) {
  const { data: clients } = useClients();
  const acting = useClientId();
  const manageable = clients?.items.filter(({ role }) => role !== 'analyst') ?? [];
  const asked = manageable.find(({ name }) => name === request.requested_client)?.id;
  const [chosen, setChosen] = useState<string | null>(null);
  const clientId = chosen ?? asked ?? acting;
  const [role, setRole] = useState<MembershipRole>('analyst');
  const approve = useApproveUser();

  const submit = () =>
    clientId &&
    approve.mutate(
      { userId: request.user_id, clientId, role },
      {
        onSuccess: () => {
          announce(`${request.name} can now sign in.`);
          onDone();
        },
        onError: (error) => announceFailure('The request was not approved', error),
      },
    );

  return (
    <Stack>
      <Select
        label="Client"
        data={manageable.map(({ id, name }) => ({ value: id, label: name }))}
        value={clientId}
        onChange={setChosen}
        allowDeselect={false}
      />
      <Select
        label="Role"
        data={roleOptions}
        value={role}
        allowDeselect={false}
        onChange={(value) => value && setRole(value as MembershipRole)}
      />
      <Group justify="flex-end">
        <Button variant="default" onClick={onDone}>
          Cancel
        </Button>
        <Button onClick={submit} disabled={!clientId} loading={approve.isPending}>
          Approve
        </Button>
      </Group>
    </Stack>
  );
}
