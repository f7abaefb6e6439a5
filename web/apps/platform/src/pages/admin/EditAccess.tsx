import { ActionIcon, Button, Divider, Group, Select, Stack, Text } from '@mantine/core';
import { IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { useGrantAccess, useRevokeAccess, useSetRole } from '../../api/mutations';
import { useClients } from '../../api/queries';
import type { AdminUser, Membership, MembershipRole } from '../../api/types';
import { announce, announceFailure } from '../../components/feedback';
import { roleOptions } from './options';

const failed = (error: unknown) => announceFailure('The access was not changed', error);

/** Changes take effect at once; the user's open pages follow by their live connection. */
export function EditAccess({ user }: { user: AdminUser }) {
  const { data: clients } = useClients();
  const manageable = clients?.items.filter(({ role }) => role !== 'analyst') ?? [];
  const mayManage = (clientId: string) => manageable.some(({ id }) => id === clientId);
  const missing = manageable.filter(
    ({ id }) => !user.memberships.some(({ client_account_id }) => client_account_id === id),
  );
  return (
    <Stack gap="md">
      {user.memberships.length === 0 && (
        <Text size="sm" c="dimmed">
          This user has no access to any client.
        </Text>
      )}
      {user.memberships.map((membership) => (
        <MembershipRow
          key={membership.client_account_id}
          user={user}
          membership={membership}
          editable={mayManage(membership.client_account_id)}
        />
      ))}
      {missing.length > 0 && (
        <>
          <Divider />
          <Grant userId={user.id} options={missing.map(({ id, name }) => ({ value: id, label: name }))} />
        </>
      )}
    </Stack>
  );
}

interface MembershipRowProps {
  user: AdminUser;
  membership: Membership;
  editable: boolean;
}

function MembershipRow({ user, membership, editable }: MembershipRowProps) {
  const { client_account_id: clientId, client_name: clientName } = membership;
  const setRole = useSetRole();
  const revoke = useRevokeAccess();
  const access = { userId: user.id, clientId };
  return (
    <Group wrap="nowrap" gap="sm">
      <Text size="sm" fw={550} style={{ flex: 1, minWidth: 0 }}>
        {clientName}
      </Text>
      <Select
        aria-label={`Role for ${clientName}`}
        data={roleOptions}
        value={membership.role}
        allowDeselect={false}
        disabled={!editable || setRole.isPending}
        onChange={(role) =>
          role &&
          setRole.mutate(
            { ...access, role: role as MembershipRole },
            { onSuccess: () => announce(`${user.name} has a new role.`), onError: failed },
          )
        }
        w={150}
      />
      <ActionIcon
        variant="default"
        size="lg"
        aria-label={`Remove the access to ${clientName}`}
        disabled={!editable}
        loading={revoke.isPending}
        onClick={() =>
          revoke.mutate(access, { onSuccess: () => announce('The access was removed.'), onError: failed })
        }
      >
        <IconTrash size={17} stroke={1.6} />
      </ActionIcon>
    </Group>
  );
}

function Grant({ userId, options }: { userId: string; options: { value: string; label: string }[] }) {
  const [clientId, setClientId] = useState<string | null>(null);
  const [role, setRole] = useState<MembershipRole>('analyst');
  const grant = useGrantAccess();
  return (
    <Group align="flex-end" gap="sm">
      <Select
        label="Add a client"
        placeholder="Choose"
        data={options}
        value={clientId}
        onChange={setClientId}
        style={{ flex: '1 1 10rem' }}
      />
      <Select
        label="Role"
        data={roleOptions}
        value={role}
        allowDeselect={false}
        onChange={(value) => value && setRole(value as MembershipRole)}
        w={150}
      />
      <Button
        disabled={clientId === null}
        loading={grant.isPending}
        onClick={() =>
          clientId &&
          grant.mutate(
            { userId, clientId, role },
            {
              onSuccess: () => {
                setClientId(null);
                announce('The access was granted.');
              },
              onError: failed,
            },
          )
        }
      >
        Grant
      </Button>
    </Group>
  );
}
