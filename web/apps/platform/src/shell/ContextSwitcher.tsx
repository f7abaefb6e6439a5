import { Box, Menu, ScrollArea, Text, UnstyledButton } from '@mantine/core';
import { IconCheck, IconSelector } from '@tabler/icons-react';
import { useNavigate } from 'react-router';
import { useClients, useEngagements, useUserContext } from '../api/queries';
import { announceFailure } from '../components/feedback';
import { chooseEngagement, switchClient, useClientId, useEngagementId } from '../session/session';
import classes from './ContextSwitcher.module.css';

const failed = (error: unknown) => announceFailure('The context could not be changed', error);

/** Client and engagement the tab works for. Changing the client replaces everything below the provider. */
export function ContextSwitcher() {
  return (
    <div className={classes.switcher}>
      <ClientMenu />
      <span className={classes.slash} aria-hidden>
        /
      </span>
      <EngagementMenu />
    </div>
  );
}

function ClientMenu() {
  const clientId = useClientId();
  const clients = useClients();
  const { data: me } = useUserContext();
  const navigate = useNavigate();
  const isPlatformAdmin = me?.user.is_platform_admin ?? false;
  const current = me?.client?.name ?? (isPlatformAdmin ? 'Platform' : 'No client');

  const choose = (id: string | null) => {
    // A page about one thing of the old client means nothing for the new one.
    navigate(id === null ? '/admin' : '/overview');
    void switchClient(id).catch(failed);
  };

  return (
    <Menu position="bottom-start" width={260} withinPortal>
      <Menu.Target>
        <Trigger label="Client" value={current} />
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Client</Menu.Label>
        <ScrollArea.Autosize mah={320}>
          {isPlatformAdmin && (
            <Choice name="Platform" current={clientId === null} onChoose={() => choose(null)} />
          )}
          {clients.data?.items.map((client) => (
            <Choice
              key={client.id}
              name={client.name}
              current={client.id === clientId}
              onChoose={() => choose(client.id)}
            />
          ))}
        </ScrollArea.Autosize>
      </Menu.Dropdown>
    </Menu>
  );
}

function EngagementMenu() {
  const clientId = useClientId();
  const engagementId = useEngagementId();
  const engagements = useEngagements(clientId);
  if (clientId === null)
    return (
      <Text size="sm" c="dimmed" px={8}>
        Administration
      </Text>
    );
  const items = engagements.data?.items ?? [];
  const current = items.find(({ id }) => id === engagementId);
  return (
    <Menu position="bottom-start" width={300} withinPortal>
      <Menu.Target>
        <Trigger label="Engagement" value={current?.name ?? 'Choose an engagement'} />
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Engagement</Menu.Label>
        <ScrollArea.Autosize mah={320}>
          {items.length === 0 && <Menu.Item disabled>No engagements yet</Menu.Item>}
          {items.map((engagement) => (
            <Choice
              key={engagement.id}
              name={engagement.name}
              current={engagement.id === engagementId}
              onChoose={() => void chooseEngagement(engagement.id).catch(failed)}
            />
          ))}
        </ScrollArea.Autosize>
      </Menu.Dropdown>
    </Menu>
  );
}

/** Takes the props that Menu.Target gives to its child. */
function Trigger({ label, value, ...target }: { label: string; value: string } & Record<string, unknown>) {
  return (
    <UnstyledButton {...target} className={classes.trigger} aria-label={`${label}: ${value}`}>
      <span className={classes.value}>{value}</span>
      <IconSelector size={15} aria-hidden className={classes.icon} />
    </UnstyledButton>
  );
}

function Choice({ name, current, onChoose }: { name: string; current: boolean; onChoose: () => void }) {
  return (
    <Menu.Item
      onClick={onChoose}
      aria-current={current}
      rightSection={current ? <IconCheck size={16} aria-label="current" /> : <Box w={16} />}
    >
      {name}
    </Menu.Item>
  );
}
