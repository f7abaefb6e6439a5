import { Box, Modal, Stack, Switch, Text, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import type { CacheConfiguration } from '../../../api/types';
import { FormActions } from '../../../components/FormActions';
import { Section } from '../../../components/Section';
import { SWITCH_NAMES } from '../../../lib/configuration';
import { useConfigure } from './useConfigure';

type Name = keyof typeof SWITCH_NAMES;

const CONSEQUENCES: Record<Name, string> = {
  cache: 'Off, every read is answered from the database. Changes are announced all the same.',
  store: 'Off, each node loads for itself. Nodes hear of changes all the same.',
  headers: 'X-Cache, Cache-Status and Server-Timing in answers.',
};

/** What is on and off everywhere, for everybody. */
export function Switches({ configuration }: { configuration: CacheConfiguration }) {
  const [wanted, setWanted] = useState<Name | null>(null);
  const { switches } = configuration.configuration;
  return (
    <Section title="Everywhere" note="For all nodes and everybody; feature flags are for some.">
      <Stack component="ul" className="card" gap={0} m={0} p={0} style={{ listStyle: 'none' }}>
        {(Object.keys(SWITCH_NAMES) as Name[]).map((name) => (
          <Box component="li" key={name} px="md" py="sm">
            <Switch
              checked={switches[name]}
              onChange={() => setWanted(name)}
              label={SWITCH_NAMES[name]}
              description={CONSEQUENCES[name]}
            />
          </Box>
        ))}
      </Stack>
      <Modal
        opened={wanted !== null}
        onClose={() => setWanted(null)}
        title={wanted && `${SWITCH_NAMES[wanted]}: ${switches[wanted] ? 'switch off' : 'switch on'}`}
      >
        {wanted && <Reason name={wanted} configuration={configuration} onDone={() => setWanted(null)} />}
      </Modal>
    </Section>
  );
}

interface ReasonProps {
  name: Name;
  configuration: CacheConfiguration;
  onDone: () => void;
}

function Reason({ name, configuration, onDone }: ReasonProps) {
  const [reason, setReason] = useState('');
  const { configure, isPending } = useConfigure(configuration);
  const isOn = configuration.configuration.switches[name];
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const { configuration: now } = configuration;
    configure({ ...now, switches: { ...now.switches, [name]: !isOn } }, reason.trim(), { done: onDone });
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        <Text size="sm" c="dimmed">
          {CONSEQUENCES[name]}
        </Text>
        <TextInput
          label="Why"
          withAsterisk
          data-autofocus
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
        />
        <FormActions
          onCancel={onDone}
          color={isOn ? 'red' : 'spruce'}
          disabled={!reason.trim()}
          loading={isPending}
        >
          {isOn ? 'Switch off' : 'Switch on'}
        </FormActions>
      </Stack>
    </form>
  );
}
