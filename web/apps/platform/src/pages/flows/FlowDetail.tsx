import { Box, Button, Group, Menu, SimpleGrid, Text, Title } from '@mantine/core';
import { IconDots, IconFileImport, IconTrash } from '@tabler/icons-react';
import { Link, useNavigate, useParams } from 'react-router';
import { useDeleteFlow, useUpdateFlow } from '../../api/mutations';
import { useFlow, useFlowState } from '../../api/queries';
import type { Flow, FlowStatus } from '../../api/types';
import { FlowBadge, ProgressCell } from '../../components/badges';
import { CleansingLink } from '../../components/CleansingLink';
import { Facts } from '../../components/Facts';
import { announce, announceFailure, confirmRisk } from '../../components/feedback';
import { PageHeader } from '../../components/PageHeader';
import { QueryView } from '../../components/QueryView';
import { PageLoading, SkeletonRows } from '../../components/states';
import { TimeAgo } from '../../components/TimeAgo';
import { flowStatusLabel, formatTime } from '../../lib/format';
import { usePermissions } from '../../session/permissions';
import { FlowSteps } from './FlowSteps';

export function Page() {
  const { flowId = '' } = useParams();
  const flow = useFlow(flowId);
  return (
    <QueryView query={flow} loading={<PageLoading />}>
      {(data) => <Detail flow={data} />}
    </QueryView>
  );
}

function Detail({ flow }: { flow: Flow }) {
  const state = useFlowState(flow.id);
  const mayWrite = usePermissions()('flows:write');
  return (
    <>
      <PageHeader
        title={flow.name}
        back={{ to: '/flows', label: 'Discovery flows' }}
        description={
          <Group gap="sm">
            <FlowBadge status={flow.status} />
            <Text span size="sm" c="dimmed">
              {flow.engagement_name} · {flow.owner_name} · updated <TimeAgo at={flow.updated_at} />
            </Text>
          </Group>
        }
        actions={
          <>
            <NextStep flow={flow} />
            {mayWrite && <FlowActions flow={flow} />}
          </>
        }
      />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
        <Box component="section" className="card" p="lg" aria-labelledby="steps">
          <Group justify="space-between" mb="lg">
            <Title order={2} fz="md" id="steps">
              Progress
            </Title>
            <Box w={150}>
              <ProgressCell percent={flow.progress_percent} label="Progress of this flow" />
            </Box>
          </Group>
          <QueryView query={state} loading={<SkeletonRows rows={4} />}>
            {({ steps }) => <FlowSteps steps={steps} importId={flow.import_id} />}
          </QueryView>
        </Box>
        <Box component="section" className="card" p="lg" aria-labelledby="about">
          <Title order={2} fz="md" mb="md" id="about">
            About this flow
          </Title>
          <Facts
            items={[
              ['Engagement', flow.engagement_name],
              ['Owner', flow.owner_name],
              ['Created', formatTime(flow.created_at)],
              ...Object.entries(flow.metadata).map(([name, value]): [string, string] => [
                name,
                metadataText(value),
              ]),
            ]}
          />
        </Box>
      </SimpleGrid>
    </>
  );
}

function metadataText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function NextStep({ flow }: { flow: Flow }) {
  if (flow.import_id === null) {
    if (flow.status === 'completed' || flow.status === 'cancelled') return null;
    return (
      <Button component={Link} to={`/imports?flow=${flow.id}`} leftSection={<IconFileImport size={17} />}>
        Import data
      </Button>
    );
  }
  return (
    <>
      <Button component={Link} to={`/imports/${flow.import_id}`} variant="default">
        Import
      </Button>
      <CleansingLink importId={flow.import_id} />
      <Button component={Link} to={`/imports/${flow.import_id}/mappings`}>
        Field mappings
      </Button>
    </>
  );
}

const STATUSES: readonly FlowStatus[] = ['draft', 'running', 'awaiting_review', 'completed', 'cancelled'];

function FlowActions({ flow }: { flow: Flow }) {
  const navigate = useNavigate();
  const update = useUpdateFlow(flow.id);
  const remove = useDeleteFlow();

  const setStatus = (status: FlowStatus) =>
    update.mutate(
      { status },
      {
        onSuccess: () => announce(`The flow is now “${flowStatusLabel[status]}”.`),
        onError: (error) => announceFailure('The status was not changed', error),
      },
    );

  const askRemoval = () =>
    confirmRisk({
      title: 'Delete this flow?',
      body: `“${flow.name}” and its state are removed for everyone. This cannot be undone.`,
      action: 'Delete the flow',
      onConfirm: () =>
        remove.mutate(flow.id, {
          onSuccess: () => navigate('/flows'),
          onError: (error) => announceFailure('The flow was not deleted', error),
        }),
    });

  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button
          variant="default"
          leftSection={<IconDots size={17} />}
          loading={update.isPending || remove.isPending}
        >
          Change
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Set the status</Menu.Label>
        {STATUSES.map((status) => (
          <Menu.Item key={status} disabled={status === flow.status} onClick={() => setStatus(status)}>
            {flowStatusLabel[status]}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item color="red" leftSection={<IconTrash size={16} />} onClick={askRemoval}>
          Delete the flow
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
