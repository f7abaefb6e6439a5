import { Group, NumberInput, SegmentedControl, SimpleGrid, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useId } from 'react';
import type { CacheConfiguration, EndpointSettings } from '../../../api/types';
import { FormActions } from '../../../components/FormActions';
import { type Item, inSeconds, withSettings } from '../../../lib/configuration';
import { useConfigure } from './useConfigure';

interface Values {
  ttl: number | '';
  grace: number | '';
  failSafe: number | '';
  cache: Choice;
  store: Choice;
  reason: string;
}

type Choice = 'released' | 'on' | 'off';

const choiceOf = (value: boolean | null | undefined): Choice =>
  value === true ? 'on' : value === false ? 'off' : 'released';
const chosen = (choice: Choice): boolean | null => (choice === 'released' ? null : choice === 'on');
const given = (value: number | ''): number | null => (value === '' ? null : value);

interface ItemFormProps {
  item: Item;
  configuration: CacheConfiguration;
  onDone: () => void;
}

/** What is said of a route or a kind of entry. What is left empty is as released. */
export function ItemForm({ item, configuration, onDone }: ItemFormProps) {
  const { settings } = item;
  const { configure, isPending } = useConfigure(configuration);
  const form = useForm<Values>({
    initialValues: {
      ttl: settings.ttl_seconds ?? '',
      grace: settings.grace_seconds ?? '',
      failSafe: settings.fail_safe_seconds ?? '',
      cache: choiceOf(settings.cache),
      store: choiceOf(settings.store),
      reason: '',
    },
    validate: { reason: (value) => (value.trim() ? null : 'Say why, for those who look at it later') },
  });
  const submit = (values: Values) => {
    const said: Partial<EndpointSettings> = {
      ...settings,
      ttl_seconds: given(values.ttl),
      grace_seconds: given(values.grace),
      fail_safe_seconds: given(values.failSafe),
      cache: chosen(values.cache),
      store: chosen(values.store),
    };
    configure(withSettings(configuration.configuration, item, said), values.reason.trim(), {
      done: onDone,
      faults: (messages) => form.setFieldError('ttl', messages.join(' ')),
    });
  };
  return (
    <form onSubmit={form.onSubmit(submit)}>
      <Stack>
        <Text size="sm" c="dimmed">
          What is left empty is as released.{' '}
          {item.is_strict
            ? 'It is always confirmed before it is served.'
            : `It may be fresh for ${inSeconds(item.ttl_seconds_max)} at most.`}
        </Text>
        <SimpleGrid cols={{ base: 1, sm: 3 }}>
          <NumberInput
            label="Fresh for"
            placeholder="as released"
            suffix=" s"
            min={0}
            max={item.ttl_seconds_max}
            allowDecimal={false}
            data-autofocus
            {...form.getInputProps('ttl')}
          />
          <NumberInput
            label="Served while it is loaded"
            placeholder="as released"
            suffix=" s"
            min={0}
            allowDecimal={false}
            {...form.getInputProps('grace')}
          />
          <NumberInput
            label="Served where loading fails"
            placeholder="as released"
            suffix=" s"
            min={0}
            allowDecimal={false}
            {...form.getInputProps('failSafe')}
          />
        </SimpleGrid>
        <Group gap="xl">
          <ThreeWay label="Cached" {...form.getInputProps('cache')} />
          <ThreeWay label="Shared between nodes" {...form.getInputProps('store')} />
        </Group>
        <TextInput label="Why" withAsterisk {...form.getInputProps('reason')} />
        <FormActions onCancel={onDone} loading={isPending}>
          Put in force
        </FormActions>
      </Stack>
    </form>
  );
}

interface ThreeWayProps {
  label: string;
  value?: string;
  onChange?: (value: string) => void;
}

function ThreeWay({ label, value = 'released', onChange = () => {} }: ThreeWayProps) {
  const id = useId();
  return (
    <div>
      <Text id={id} size="sm" fw={500} mb={4}>
        {label}
      </Text>
      <SegmentedControl
        aria-labelledby={id}
        value={value}
        onChange={onChange}
        data={[
          { value: 'released', label: 'As released' },
          { value: 'on', label: 'Yes' },
          { value: 'off', label: 'No' },
        ]}
      />
    </div>
  );
}
