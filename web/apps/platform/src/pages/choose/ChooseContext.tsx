import { Button, Group, SimpleGrid, Skeleton, Stack, Text, Title, UnstyledButton } from '@mantine/core';
import { IconBriefcase, IconBuildingCommunity, IconCheck, IconUserQuestion } from '@tabler/icons-react';
import type { IntentHandlers } from '@unstale/client/react';
import { memo, useState } from 'react';
import { Link, useNavigate, useSearchParams } from 'react-router';
import { useClients, useEngagements, useUserContext } from '../../api/queries';
import type { ClientSummary, Engagement } from '../../api/types';
import { Badge, EngagementBadge } from '../../components/badges';
import { announceFailure } from '../../components/feedback';
import { PageHeader } from '../../components/PageHeader';
import { QueryView } from '../../components/QueryView';
import { Notice } from '../../components/states';
import { formatPeriod, plural, roleLabel } from '../../lib/format';
import { safeReturnPath } from '../../lib/return-path';
import { useIntent } from '../../session/intent';
import { usePermissions } from '../../session/permissions';
import { chooseEngagement, switchClient, useClientId, useEngagementId } from '../../session/session';
import { overview } from '../../shell/navigation';
import classes from './ChooseContext.module.css';

const loading = (
  <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }} aria-busy="true" role="status" aria-label="Loading">
    <Skeleton height={92} />
    <Skeleton height={92} />
  </SimpleGrid>
);

export function Page() {
  const clients = useClients();
  return (
    <>
      <PageHeader title="Choose what you work on" description="It is remembered for your next visit." />
      <Stack gap="xl">
        <section aria-labelledby="clients">
          <Title order={2} fz="lg" mb="sm" id="clients">
            Client
          </Title>
          <QueryView query={clients} loading={loading}>
            {({ items }) => (items.length === 0 ? <NoClients /> : <Clients clients={items} />)}
          </QueryView>
        </section>
        <Engagements />
      </Stack>
    </>
  );
}

function Clients({ clients }: { clients: readonly ClientSummary[] }) {
  const clientId = useClientId();
  const [entering, setEntering] = useState(false);
  const enter = (id: string) => {
    setEntering(true);
    void switchClient(id)
      .catch((error: unknown) => announceFailure('The client could not be entered', error))
      .finally(() => setEntering(false));
  };
  return (
    <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
      {clients.map((client) => (
        <Choice
          key={client.id}
          current={client.id === clientId}
          disabled={entering}
          onChoose={() => enter(client.id)}
        >
          <Text fw={580}>{client.name}</Text>
          <Group gap={6}>
            <Text size="sm" c="dimmed">
              {[client.industry, plural(client.engagement_count, 'engagement')].filter(Boolean).join(' · ')}
            </Text>
            {client.role && <Badge>{roleLabel[client.role]}</Badge>}
          </Group>
        </Choice>
      ))}
    </SimpleGrid>
  );
}

function Engagements() {
  const clientId = useClientId();
  const { data: me } = useUserContext();
  const engagements = useEngagements(clientId);
  if (clientId === null) return null;
  return (
    <section aria-labelledby="engagements">
      <Title order={2} fz="lg" mb="sm" id="engagements">
        Engagement {me?.client && `of ${me.client.name}`}
      </Title>
      <QueryView query={engagements} loading={loading}>
        {({ items }) => (items.length === 0 ? <NoEngagements /> : <EngagementChoices engagements={items} />)}
      </QueryView>
    </section>
  );
}

function EngagementChoices({ engagements }: { engagements: readonly Engagement[] }) {
  const current = useEngagementId();
  const navigate = useNavigate();
  const [search] = useSearchParams();
  const wanted = safeReturnPath(search.get('next'));
  const to = wanted === '/' ? '/overview' : wanted;
  const choose = (id: string) => {
    void chooseEngagement(id).catch((error: unknown) =>
      announceFailure('The choice could not be remembered', error),
    );
    navigate(to);
  };
  return (
    <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
      {engagements.map((engagement) => (
        <EngagementChoice
          key={engagement.id}
          engagement={engagement}
          current={engagement.id === current}
          to={to}
          onChoose={choose}
        />
      ))}
    </SimpleGrid>
  );
}

interface EngagementChoiceProps {
  engagement: Engagement;
  current: boolean;
  /** Where choosing it leads. */
  to: string;
  onChoose: (id: string) => void;
}

/** By itself, so that of all of them two change with the choice. */
const EngagementChoice = memo(function EngagementChoice({
  engagement,
  current,
  to,
  onChoose,
}: EngagementChoiceProps) {
  const onIntent = useIntent();
  return (
    <Choice
      current={current}
      onChoose={() => onChoose(engagement.id)}
      intent={onIntent(to, overview(engagement.id), engagement.id)}
    >
      <Group justify="space-between" gap="xs" wrap="nowrap">
        <Text fw={580}>{engagement.name}</Text>
        <EngagementBadge status={engagement.status} />
      </Group>
      <Text size="sm" c="dimmed">
        {[formatPeriod(engagement.starts_on, engagement.ends_on), plural(engagement.flow_count, 'flow')]
          .filter(Boolean)
          .join(' · ')}
      </Text>
    </Choice>
  );
});

interface ChoiceProps {
  current: boolean;
  disabled?: boolean;
  onChoose: () => void;
  intent?: IntentHandlers;
  children: React.ReactNode;
}

function Choice({ current, disabled = false, onChoose, intent, children }: ChoiceProps) {
  return (
    <UnstyledButton
      className={classes.choice}
      data-current={current}
      aria-pressed={current}
      disabled={disabled}
      onClick={onChoose}
      {...intent}
    >
      <Stack gap={4} style={{ flex: 1, minWidth: 0 }}>
        {children}
      </Stack>
      {current && <IconCheck size={18} aria-hidden />}
    </UnstyledButton>
  );
}

function NoClients() {
  return (
    <Notice icon={<IconUserQuestion size={26} />} title="No client yet">
      Your account is active, but no client has been assigned to it. Ask an administrator for access.
    </Notice>
  );
}

function NoEngagements() {
  const mayCreate = usePermissions()('engagements:manage');
  return (
    <Notice
      icon={mayCreate ? <IconBriefcase size={26} /> : <IconBuildingCommunity size={26} />}
      title="No engagements yet"
      action={
        mayCreate && (
          <Button component={Link} to="/admin/engagements">
            Create an engagement
          </Button>
        )
      }
    >
      {mayCreate
        ? 'Create the first one to start discovering.'
        : 'An administrator of this client can create one.'}
    </Notice>
  );
}
