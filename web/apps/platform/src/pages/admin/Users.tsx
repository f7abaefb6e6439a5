import { Button, Group, Modal, Text, TextInput } from '@mantine/core';
import { IconSearch, IconUsers } from '@tabler/icons-react';
import { useState } from 'react';
import { useAdminUsers } from '../../api/queries';
import type { AdminUser } from '../../api/types';
import { Badge, UserBadge } from '../../components/badges';
import { type Column, DataTable } from '../../components/DataTable';
import { QueryView } from '../../components/QueryView';
import { Notice } from '../../components/states';
import { TimeAgo } from '../../components/TimeAgo';
import { roleLabel } from '../../lib/format';
import { EditAccess } from './EditAccess';

const columns: [Column<AdminUser>, ...Column<AdminUser>[]] = [
  {
    key: 'name',
    header: 'User',
    render: (user) => (
      <div>
        <Text size="sm" fw={550}>
          {user.name}
        </Text>
        <Text size="xs" c="dimmed">
          {user.email}
        </Text>
      </div>
    ),
  },
  { key: 'status', header: 'Status', render: (user) => <UserBadge status={user.status} /> },
  { key: 'access', header: 'Access', render: (user) => <Access user={user} /> },
  {
    key: 'seen',
    header: 'Last seen',
    render: (user) => (user.last_seen_at ? <TimeAgo at={user.last_seen_at} /> : 'never'),
  },
];

function Access({ user }: { user: AdminUser }) {
  return (
    <Group gap={6}>
      {user.is_platform_admin && <Badge tone="good">{roleLabel.platform_admin}</Badge>}
      {user.memberships.map((membership) => (
        <Badge key={membership.client_account_id}>
          {membership.client_name}: {roleLabel[membership.role]}
        </Badge>
      ))}
    </Group>
  );
}

export function Page() {
  const users = useAdminUsers();
  const [search, setSearch] = useState('');
  const [editedId, setEditedId] = useState<string | null>(null);
  const edited = users.data?.items.find(({ id }) => id === editedId);
  const needle = search.trim().toLowerCase();

  // Here and not where the rows are, so that it stays the same, and with it every row that did not change.
  const actions = (user: AdminUser) => (
    <Button
      variant="default"
      size="xs"
      onClick={() => setEditedId(user.id)}
      aria-label={`Edit access of ${user.name}`}
    >
      Edit access
    </Button>
  );

  return (
    <>
      <TextInput
        aria-label="Search the users"
        placeholder="Search names and addresses"
        leftSection={<IconSearch size={16} aria-hidden />}
        value={search}
        onChange={(event) => setSearch(event.currentTarget.value)}
        maw={360}
        mb="md"
      />
      <QueryView query={users}>
        {({ items }) => {
          const shown = items.filter(({ name, email }) => `${name} ${email}`.toLowerCase().includes(needle));
          if (shown.length === 0) return <Notice icon={<IconUsers size={26} />} title="No user matches" />;
          return (
            <DataTable
              label="Users"
              rows={shown}
              columns={columns}
              rowKey={({ id }) => id}
              actions={actions}
            />
          );
        }}
      </QueryView>
      <Modal
        opened={edited !== undefined}
        onClose={() => setEditedId(null)}
        title={`Access of ${edited?.name ?? ''}`}
        size="lg"
      >
        {edited && <EditAccess user={edited} />}
      </Modal>
    </>
  );
}
