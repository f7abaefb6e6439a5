import { Divider, MultiSelect, NumberInput, Stack, Text } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useSaveFlag } from '../../../api/mutations';
import { useAdminUsers } from '../../../api/queries';
import type { FeatureFlag, FlagRule } from '../../../api/types';
import { FormActions } from '../../../components/FormActions';
import { announce, announceFailure, faultMessages } from '../../../components/feedback';
import { EndpointShares } from './EndpointShares';
import { FlagHistory } from './FlagHistory';

const isShare = (value: unknown) => typeof value === 'number' && value >= 0 && value <= 100;

export function FlagForm({ flag, onDone }: { flag: FeatureFlag; onDone: () => void }) {
  const users = useAdminUsers();
  const save = useSaveFlag();
  const form = useForm<FlagRule>({
    initialValues: flag.rule,
    validate: {
      percentage: (value) => (isShare(value) ? null : 'Give a share from 0 to 100 %'),
      off_for: (value, { on_for }) =>
        value.some((user) => on_for.includes(user)) ? 'A user cannot be in both lists' : null,
    },
  });
  const submit = (rule: FlagRule) =>
    save.mutate(
      { key: flag.key, rule },
      {
        onSuccess: () => {
          announce(`${flag.key} was changed, for every node and every open page.`);
          onDone();
        },
        onError: (error) => {
          const faults = faultMessages(error);
          if (faults.length > 0) form.setFieldError('percentage', faults.join(' '));
          else announceFailure('The flag was not changed', error);
        },
      },
    );
  const known =
    users.data?.items.map(({ id, name, email }) => ({ value: id, label: `${name} (${email})` })) ?? [];
  // Who was named and is not among the users any more stays to be seen, and can be taken out.
  const gone = [...flag.rule.on_for, ...flag.rule.off_for].filter(
    (id) => !known.some(({ value }) => value === id),
  );
  const options = [...known, ...new Set(gone)];

  return (
    <form onSubmit={form.onSubmit(submit)}>
      <Stack>
        <Text size="sm" c="dimmed">
          {flag.description}
        </Text>
        {flag.rule.killed && (
          <Text size="sm" role="status">
            It is switched off for everybody at present; this rule counts once it is put back.
          </Text>
        )}
        <NumberInput
          label="Share of users"
          description="Chosen by a hash of the user, so everybody keeps what they have."
          suffix=" %"
          min={0}
          max={100}
          allowDecimal={false}
          data-autofocus
          {...form.getInputProps('percentage')}
        />
        <EndpointShares
          endpoints={flag.endpoints}
          value={form.values.endpoints}
          onChange={(endpoints) => form.setFieldValue('endpoints', endpoints)}
        />
        <MultiSelect
          label="On for these users, whatever the share"
          data={options}
          searchable
          hidePickedOptions
          {...form.getInputProps('on_for')}
        />
        <MultiSelect
          label="Off for these users, whatever the share"
          data={options}
          searchable
          hidePickedOptions
          {...form.getInputProps('off_for')}
        />
        <FormActions onCancel={onDone} loading={save.isPending}>
          Save
        </FormActions>
        <Divider />
        <FlagHistory flagKey={flag.key} />
      </Stack>
    </form>
  );
}
