import { Button, Group, Modal, Select, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useDisclosure } from '@mantine/hooks';
import { IconPlus, IconRoute } from '@tabler/icons-react';
import { isApiError } from '@unstale/client';
import { Link, useNavigate, useSearchParams } from 'react-router';
import { useCreateFlow } from '../../api/mutations';
import { useFlows } from '../../api/queries';
import { getFlow, getFlowState } from '../../api/reads';
import type { FlowStatus, FlowSummary } from '../../api/types';
import { FlowBadge, ProgressCell } from '../../components/badges';
import { type Column, DataTable } from '../../components/DataTable';
import { FormActions } from '../../components/FormActions';
import { announceFailure, fieldMessages } from '../../components/feedback';
import { PageHeader } from '../../components/PageHeader';
import { QueryView } from '../../components/QueryView';
import { Notice } from '../../components/states';
import { TimeAgo } from '../../components/TimeAgo';
import { flowStatusLabel, phaseLabel } from '../../lib/format';
import { useIntent } from '../../session/intent';
import { usePermissions } from '../../session/permissions';
import { useEngagementId } from '../../session/session';

const columns: [Column<FlowSummary>, ...Column<FlowSummary>[]] = [
  {
    key: 'name',
    header: 'Flow',
    render: (flow) => <FlowLink flow={flow} />,
  },
  { key: 'status', header: 'Status', render: (flow) => <FlowBadge status={flow.status} /> },
  { key: 'phase', header: 'Phase', render: (flow) => phaseLabel[flow.phase] },
  {
    key: 'progress',
    header: 'Progress',
    render: (flow) => <ProgressCell percent={flow.progress_percent} label={`Progress of ${flow.name}`} />,
  },
  { key: 'owner', header: 'Owner', render: (flow) => flow.owner_name },
  { key: 'updated', header: 'Updated', render: (flow) => <TimeAgo at={flow.updated_at} /> },
];

function FlowLink({ flow: { id, name } }: { flow: FlowSummary }) {
  const onIntent = useIntent();
  const to = `/flows/${id}`;
  const begins = [getFlow({ flow_id: id }), getFlowState({ flow_id: id })];
  return (
    <Link to={to} className="plain-link" {...onIntent(to, begins)}>
      {name}
    </Link>
  );
}

const statusOptions = Object.entries(flowStatusLabel).map(([value, label]) => ({ value, label }));

export function Page() {
  const engagementId = useEngagementId() ?? '';
  const flows = useFlows(engagementId);
  const [creating, create] = useDisclosure(false);
  const [search, setSearch] = useSearchParams();
  const status = search.get('status') as FlowStatus | null;
  const mayWrite = usePermissions()('flows:write');
  const createButton = mayWrite && (
    <Button leftSection={<IconPlus size={17} />} onClick={create.open}>
      New flow
    </Button>
  );

  return (
    <>
      <PageHeader
        title="Discovery flows"
        description="Each flow takes one inventory from its import to reviewed assets."
        actions={createButton}
      />
      <Group mb="md">
        <Select
          aria-label="Filter by status"
          placeholder="All statuses"
          data={statusOptions}
          value={status}
          onChange={(value) => setSearch(value ? { status: value } : {}, { replace: true })}
          clearable
          clearButtonProps={{ 'aria-label': 'Show all statuses' }}
          w={200}
        />
      </Group>
      <QueryView query={flows}>
        {({ items }) => <FlowTable flows={items} status={status} action={createButton} />}
      </QueryView>
      <Modal opened={creating} onClose={create.close} title="New discovery flow">
        <CreateFlow engagementId={engagementId} onCancel={create.close} />
      </Modal>
    </>
  );
}

interface FlowTableProps {
  flows: readonly FlowSummary[];
  status: FlowStatus | null;
  action: React.ReactNode;
}

function FlowTable({ flows, status, action }: FlowTableProps) {
  const shown = status === null ? flows : flows.filter((flow) => flow.status === status);
  if (shown.length > 0)
    return <DataTable label="Discovery flows" rows={shown} columns={columns} rowKey={({ id }) => id} />;
  if (status !== null) {
    return (
      <Notice icon={<IconRoute size={26} />} title={`No flow is “${flowStatusLabel[status]}”`}>
        Choose another status to see the other flows.
      </Notice>
    );
  }
  return (
    <Notice icon={<IconRoute size={26} />} title="No flows yet" action={action}>
      Start one here, or import a CSV file: an import creates its flow by itself.
    </Notice>
  );
}

function CreateFlow({ engagementId, onCancel }: { engagementId: string; onCancel: () => void }) {
  const navigate = useNavigate();
  const createFlow = useCreateFlow();
  const form = useForm({
    mode: 'uncontrolled',
    initialValues: { name: '' },
    validate: { name: (value) => (value.trim() ? null : 'Give the flow a name') },
  });
  const submit = ({ name }: { name: string }) =>
    createFlow.mutate(
      { engagement_id: engagementId, name: name.trim() },
      {
        onSuccess: ({ data: flow }) => navigate(`/flows/${flow.id}`),
        onError: (error) => {
          form.setErrors(fieldMessages(error));
          if (!isApiError(error, 422)) announceFailure('The flow was not created', error);
        },
      },
    );
  return (
    <form onSubmit={form.onSubmit(submit)}>
      <Stack>
        <TextInput
          label="Name"
          placeholder="Frankfurt data centre"
          data-autofocus
          key={form.key('name')}
          {...form.getInputProps('name')}
        />
        <Text size="sm" c="dimmed">
          The data is imported in the next step.
        </Text>
        <FormActions onCancel={onCancel} loading={createFlow.isPending}>
          Create the flow
        </FormActions>
      </Stack>
    </form>
  );
}
