import { Button, Modal, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { useCacheConfiguration } from '../../../api/queries';
import type { CacheConfiguration } from '../../../api/types';
import { Badge } from '../../../components/badges';
import { type Column, DataTable } from '../../../components/DataTable';
import { QueryView } from '../../../components/QueryView';
import { Section } from '../../../components/Section';
import { type Item, inSeconds, isChanged, itemsOf, settingsInWords } from '../../../lib/configuration';
import { ConfigurationHistory } from './ConfigurationHistory';
import { ItemForm } from './ItemForm';
import { Switches } from './Switches';

const columns: [Column<Item>, ...Column<Item>[]] = [
  {
    key: 'name',
    header: 'Route or kind of entry',
    render: ({ name }) => (
      <Text size="sm" fw={550} className="mono">
        {name}
      </Text>
    ),
  },
  {
    key: 'ttl',
    header: 'What is allowed',
    render: (item) => (
      <Text size="sm">
        {item.is_strict ? 'always confirmed' : `fresh for ${inSeconds(item.ttl_seconds_max)} at most`}
      </Text>
    ),
  },
  {
    key: 'settings',
    header: 'Changed to',
    render: (item) => {
      const said = settingsInWords(item.settings);
      return said.length === 0 ? '–' : <Badge tone="attention">{said.join(', ')}</Badge>;
    },
  },
];

/** Switches, lifetimes and modes, changed while everything runs; with who changed what, and the way back. */
export function HowItIsUsed() {
  const configuration = useCacheConfiguration();
  return (
    <QueryView query={configuration}>
      {(data) => (
        <Stack gap="lg">
          <Switches configuration={data} />
          <Lifetimes configuration={data} />
          <ConfigurationHistory version={data.version} />
        </Stack>
      )}
    </QueryView>
  );
}

function Lifetimes({ configuration }: { configuration: CacheConfiguration }) {
  const [edited, setEdited] = useState<Item | null>(null);
  const [showsAll, setShowsAll] = useState(false);
  const items = itemsOf(configuration);
  const changed = items.filter(isChanged);
  const shown = showsAll ? items : changed;
  return (
    <Section
      title="Lifetimes and modes"
      note={`${changed.length === 0 ? 'Everything is' : `${changed.length} of ${items.length} are not`} as released.`}
      action={
        <Button variant="default" size="xs" onClick={() => setShowsAll(!showsAll)} aria-expanded={showsAll}>
          {showsAll ? 'Show what was changed' : `Show all ${items.length}`}
        </Button>
      }
    >
      {shown.length > 0 && (
        <DataTable
          label="Lifetimes and modes, by kind"
          rows={shown}
          columns={columns}
          rowKey={({ of, name }) => `${of} ${name}`}
          actions={(item) => (
            <Button
              size="xs"
              variant="default"
              onClick={() => setEdited(item)}
              aria-label={`Change how ${item.name} is cached`}
            >
              Change
            </Button>
          )}
        />
      )}
      <Modal
        opened={edited !== null}
        onClose={() => setEdited(null)}
        title={<span className="mono">{edited?.name}</span>}
        size="lg"
      >
        {edited && <ItemForm item={edited} configuration={configuration} onDone={() => setEdited(null)} />}
      </Modal>
    </Section>
  );
}
