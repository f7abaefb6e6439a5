import { Button, Group, Modal, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconBuilding, IconPlus } from '@tabler/icons-react';
import { isApiError } from '@unstale/client';
import { useState } from 'react';
import { useDeleteClient, useSaveClient } from '../../api/mutations';
import { useAdminClients } from '../../api/queries';
import type { Client } from '../../api/types';
import { type Column, DataTable } from '../../components/DataTable';
import { FormActions } from '../../components/FormActions';
import { announce, announceFailure, fieldMessages } from '../../components/feedback';
import { QueryView } from '../../components/QueryView';
import { Notice } from '../../components/states';
import { TimeAgo } from '../../components/TimeAgo';
import { formatNumber } from '../../lib/format';
import { usePermissions } from '../../session/permissions';
import { useCascadingDelete } from './useCascadingDelete';

const columns: [Column<Client>, ...Column<Client>[]] = [
  {
    key: 'name',
    header: 'Client',
    render: (client) => (
      <div>
        <Text size="sm" fw={550}>
          {client.name}
        </Text>
        <Text size="xs" c="dimmed">
          {client.slug}
        </Text>
      </div>
    ),
  },
  { key: 'industry', header: 'Industry', render: (client) => client.industry ?? '–' },
  {
    key: 'engagements',
    header: 'Engagements',
    align: 'right',
    render: (client) => formatNumber(client.engagement_count),
  },
  { key: 'users', header: 'Users', align: 'right', render: (client) => formatNumber(client.user_count) },
  { key: 'updated', header: 'Updated', render: (client) => <TimeAgo at={client.updated_at} /> },
];

/** `null` stands for a client that is being created. */
type Edited = Client | null | undefined;

export function Page() {
  const clients = useAdminClients();
  const [edited, setEdited] = useState<Edited>(undefined);
  const mayManage = usePermissions()('clients:manage');
  const remove = useCascadingDelete(useDeleteClient().mutate, 'client');
  const close = () => setEdited(undefined);
  const create = mayManage && (
    <Button leftSection={<IconPlus size={17} />} onClick={() => setEdited(null)}>
      New client
    </Button>
  );

  // Here and not where the rows are, so that it stays the same, and with it every row that did not change.
  const actions = (client: Client) => (
    <>
      <Button
        size="xs"
        variant="default"
        onClick={() => setEdited(client)}
        aria-label={`Edit ${client.name}`}
      >
        Edit
      </Button>
      {mayManage && (
        <Button
          size="xs"
          variant="subtle"
          color="red"
          onClick={() => remove(client)}
          aria-label={`Delete ${client.name}`}
        >
          Delete
        </Button>
      )}
    </>
  );

  return (
    <>
      {create && (
        <Group justify="flex-end" mb="md">
          {create}
        </Group>
      )}
      <QueryView query={clients}>
        {({ items }) =>
          items.length === 0 ? (
            <Notice icon={<IconBuilding size={26} />} title="No clients yet" action={create}>
              A client is a company whose estate is migrated; its data is kept apart from all others.
            </Notice>
          ) : (
            <DataTable
              label="Clients"
              rows={items}
              columns={columns}
              rowKey={({ id }) => id}
              actions={actions}
            />
          )
        }
      </QueryView>
      <Modal opened={edited !== undefined} onClose={close} title={edited ? 'Edit the client' : 'New client'}>
        {edited !== undefined && <ClientForm client={edited} onDone={close} />}
      </Modal>
    </>
  );
}

function ClientForm({ client, onDone }: { client: Client | null; onDone: () => void }) {
  const save = useSaveClient();
  const form = useForm({
    mode: 'uncontrolled',
    initialValues: {
      name: client?.name ?? '',
      industry: client?.industry ?? '',
      description: client?.description ?? '',
    },
    validate: { name: (value) => (value.trim() ? null : 'Give the client a name') },
  });
  const submit = ({ name, industry, description }: typeof form.values) =>
    save.mutate(
      {
        id: client?.id ?? null,
        name: name.trim(),
        industry: industry.trim() || null,
        description: description.trim() || null,
      },
      {
        onSuccess: ({ data: saved }) => {
          announce(`“${saved.name}” was saved.`);
          onDone();
        },
        onError: (error) => {
          form.setErrors(fieldMessages(error));
          if (!isApiError(error, 422)) announceFailure('The client was not saved', error);
        },
      },
    );
  return (
    <form onSubmit={form.onSubmit(submit)}>
      <Stack>
        <TextInput label="Name" data-autofocus key={form.key('name')} {...form.getInputProps('name')} />
        <TextInput label="Industry" key={form.key('industry')} {...form.getInputProps('industry')} />
        <Textarea
          label="Description"
          autosize
          minRows={2}
          key={form.key('description')}
          {...form.getInputProps('description')}
        />
        <FormActions onCancel={onDone} loading={save.isPending}>
          Save
        </FormActions>
      </Stack>
    </form>
  );
}
