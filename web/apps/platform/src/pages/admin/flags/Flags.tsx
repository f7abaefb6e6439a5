import { Button, Group, Modal, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { useSaveFlag } from '../../../api/mutations';
import { useFeatureFlags } from '../../../api/queries';
import type { FeatureFlag } from '../../../api/types';
import { Badge, type Tone } from '../../../components/badges';
import { type Column, DataTable } from '../../../components/DataTable';
import { announce, announceFailure, confirmRisk } from '../../../components/feedback';
import { QueryView } from '../../../components/QueryView';
import { inWords, type RuleInWords } from '../../../lib/flags';
import { FlagForm } from './FlagForm';

const tone: Record<RuleInWords['state'], Tone> = {
  on: 'good',
  off: 'neutral',
  partly: 'attention',
  killed: 'bad',
};

const columns: [Column<FeatureFlag>, ...Column<FeatureFlag>[]] = [
  {
    key: 'key',
    header: 'Flag',
    render: ({ key, description }) => (
      <Stack gap={2} maw="34rem" style={{ whiteSpace: 'normal' }}>
        <Text size="sm" fw={550} className="mono">
          {key}
        </Text>
        <Text size="xs" c="dimmed">
          {description}
        </Text>
      </Stack>
    ),
  },
  { key: 'rule', header: 'For whom', render: ({ rule }) => <Rule words={inWords(rule)} /> },
];

function Rule({ words: { state, label, exceptions } }: { words: RuleInWords }) {
  return (
    <Stack gap={4} align="flex-start">
      <Badge tone={tone[state]}>{label}</Badge>
      {exceptions.map((exception) => (
        <Text key={exception} size="xs" c="dimmed">
          {exception}
        </Text>
      ))}
    </Stack>
  );
}

const isOffAnyway = ({ rule }: FeatureFlag) => {
  const { state, exceptions } = inWords(rule);
  return state === 'off' && exceptions.length === 0;
};

/** Switches for people. What is thrown here reaches every node and every open page within a second. */
export function Page() {
  const flags = useFeatureFlags();
  const [editedKey, setEditedKey] = useState<string | null>(null);
  const save = useSaveFlag();
  const edited = flags.data?.items.find(({ key }) => key === editedKey);

  const setKilled = ({ key, rule }: FeatureFlag, killed: boolean) =>
    save.mutate(
      { key, rule: { ...rule, killed } },
      {
        onSuccess: () => announce(killed ? `${key} is off for everybody.` : `${key} follows its rule again.`),
        onError: (error) => announceFailure('The flag was not changed', error),
      },
    );
  const askKill = (flag: FeatureFlag) =>
    confirmRisk({
      title: `Switch ${flag.key} off for everybody?`,
      body: 'Every node and every open page follows within a second. Its rule is kept and can be put back in force.',
      action: 'Switch it off',
      onConfirm: () => setKilled(flag, true),
    });

  return (
    <>
      <Text c="dimmed" size="sm" mb="md" maw={720}>
        For whom a feature is on. Whoever is in a share stays in it while it grows.
      </Text>
      <QueryView query={flags}>
        {({ items }) => (
          <DataTable
            label="Feature flags"
            rows={items}
            columns={columns}
            rowKey={({ key }) => key}
            actions={(flag) => (
              <Group gap="xs" wrap="nowrap">
                <Button
                  size="xs"
                  variant="default"
                  onClick={() => setEditedKey(flag.key)}
                  aria-label={`Edit ${flag.key}`}
                >
                  Edit
                </Button>
                {flag.rule.killed ? (
                  <Button
                    size="xs"
                    onClick={() => setKilled(flag, false)}
                    aria-label={`Put ${flag.key} back in force`}
                  >
                    Put back
                  </Button>
                ) : (
                  <Button
                    size="xs"
                    variant="subtle"
                    disabled={isOffAnyway(flag)}
                    color="red"
                    onClick={() => askKill(flag)}
                    aria-label={`Switch off ${flag.key}`}
                  >
                    Switch off
                  </Button>
                )}
              </Group>
            )}
          />
        )}
      </QueryView>
      <Modal
        opened={edited !== undefined}
        onClose={() => setEditedKey(null)}
        title={<span className="mono">{edited?.key}</span>}
        size="lg"
      >
        {edited && <FlagForm flag={edited} onDone={() => setEditedKey(null)} />}
      </Modal>
    </>
  );
}
