import { Group, Select, Stack, Textarea, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { isApiError } from '@unstale/client';
import { useSaveEngagement } from '../../api/mutations';
import { useClients } from '../../api/queries';
import type { Engagement, EngagementStatus } from '../../api/types';
import { FormActions } from '../../components/FormActions';
import { announce, announceFailure, fieldMessages } from '../../components/feedback';
import { useClientId } from '../../session/session';
import { engagementStatusOptions } from './options';

export function EngagementForm({
  engagement,
  onDone,
}: {
  engagement: Engagement | null;
  onDone: () => void;
}) {
  const save = useSaveEngagement();
  const acting = useClientId();
  const { data: clients } = useClients();
  // Only a platform administrator acting for no client has to say whose engagement it is.
  const asksClient = engagement === null && acting === null;
  const form = useForm({
    mode: 'uncontrolled',
    initialValues: {
      client: engagement?.client_account_id ?? acting ?? '',
      name: engagement?.name ?? '',
      description: engagement?.description ?? '',
      status: engagement?.status ?? ('planned' as EngagementStatus),
      starts_on: engagement?.starts_on ?? '',
      ends_on: engagement?.ends_on ?? '',
    },
    validate: {
      client: (value) => (value ? null : 'Choose the client'),
      name: (value) => (value.trim() ? null : 'Give the engagement a name'),
      ends_on: (value, { starts_on }) =>
        value && starts_on && value < starts_on ? 'Ends before it starts' : null,
    },
  });

  const submit = (values: typeof form.values) =>
    save.mutate(
      {
        id: engagement?.id ?? null,
        ...(engagement === null ? { client_account_id: values.client } : {}),
        name: values.name.trim(),
        description: values.description.trim() || null,
        status: values.status,
        starts_on: values.starts_on || null,
        ends_on: values.ends_on || null,
      },
      {
        onSuccess: ({ data: saved }) => {
          announce(`“${saved.name}” was saved.`);
          onDone();
        },
        onError: (error) => {
          form.setErrors(fieldMessages(error));
          if (!isApiError(error, 422)) announceFailure('The engagement was not saved', error);
        },
      },
    );

  return (
    <form onSubmit={form.onSubmit(submit)}>
      <Stack>
        {asksClient && (
          <Select
            label="Client"
            data={clients?.items.map(({ id, name }) => ({ value: id, label: name })) ?? []}
            key={form.key('client')}
            {...form.getInputProps('client')}
          />
        )}
        <TextInput label="Name" data-autofocus key={form.key('name')} {...form.getInputProps('name')} />
        <Textarea
          label="Description"
          autosize
          minRows={2}
          key={form.key('description')}
          {...form.getInputProps('description')}
        />
        <Select
          label="Status"
          data={engagementStatusOptions}
          allowDeselect={false}
          key={form.key('status')}
          {...form.getInputProps('status')}
        />
        <Group grow>
          <TextInput
            label="Starts on"
            type="date"
            key={form.key('starts_on')}
            {...form.getInputProps('starts_on')}
          />
          <TextInput
            label="Ends on"
            type="date"
            key={form.key('ends_on')}
            {...form.getInputProps('ends_on')}
          />
        </Group>
        <FormActions onCancel={onDone} loading={save.isPending}>
          Save
        </FormActions>
      </Stack>
    </form>
  );
}
