import { Button, Stack, Text } from '@mantine/core';
import { IconArrowBackUp } from '@tabler/icons-react';
import { useUndoConfiguration } from '../../../api/mutations';
import { useCacheConfigurations, useNameOf } from '../../../api/queries';
import type { ConfigurationVersion } from '../../../api/types';
import { type Column, DataTable } from '../../../components/DataTable';
import { announce, announceFailure, confirmRisk } from '../../../components/feedback';
import { QueryView } from '../../../components/QueryView';
import { Section } from '../../../components/Section';
import { TimeAgo } from '../../../components/TimeAgo';
import { differences } from '../../../lib/configuration';

const SHOWN_MAX = 10;

interface Row extends ConfigurationVersion {
  changes: string[];
}

/** Who put what in force and why, the newest first, and the way back. */
export function ConfigurationHistory({ version }: { version: number }) {
  const history = useCacheConfigurations();
  const undo = useUndoConfiguration();
  const nameOf = useNameOf();

  const columns: [Column<Row>, ...Column<Row>[]] = [
    {
      key: 'changes',
      header: 'Change',
      render: ({ version: number, changes, restores }) => (
        <Stack gap={2} maw="30rem" style={{ whiteSpace: 'normal' }}>
          <Text size="sm" fw={550}>
            {restores === null ? changes.join('; ') || 'Nothing' : `Back to version ${restores}`}
          </Text>
          <Text size="xs" c="dimmed">
            Version {number}
          </Text>
        </Stack>
      ),
    },
    {
      key: 'reason',
      header: 'Why',
      render: ({ reason }) => (
        <Text size="sm" maw="18rem" lineClamp={3} style={{ whiteSpace: 'normal' }}>
          {reason}
        </Text>
      ),
    },
    { key: 'by', header: 'By', render: ({ changed_by }) => nameOf(changed_by) },
    { key: 'at', header: 'When', render: ({ changed_at }) => <TimeAgo at={changed_at} /> },
  ];
  const askUndo = () =>
    confirmRisk({
      title: 'Take the last change back?',
      body: 'What was in force before it is in force again, on every node. The change stays in the history.',
      action: 'Take it back',
      onConfirm: () =>
        undo.mutate(
          { version, reason: 'Taken back from the cache console' },
          {
            onSuccess: () => announce('The last change was taken back.'),
            onError: (error) => announceFailure('Nothing was changed', error),
          },
        ),
    });

  return (
    <Section
      title="Changes"
      note={version === 0 ? 'Nothing was changed yet.' : `Version ${version} is in force.`}
      action={
        version > 0 && (
          <Button
            variant="default"
            size="xs"
            leftSection={<IconArrowBackUp size={16} aria-hidden />}
            onClick={askUndo}
            loading={undo.isPending}
          >
            Take the last change back
          </Button>
        )
      }
    >
      <QueryView query={history}>
        {({ items }) =>
          items.length > 0 && (
            <DataTable
              label="Changes of the configuration"
              rows={items.slice(0, SHOWN_MAX).map((row, index) => ({
                ...row,
                changes: differences(items[index + 1]?.configuration ?? null, row.configuration),
              }))}
              columns={columns}
              rowKey={({ version: number }) => String(number)}
            />
          )
        }
      </QueryView>
    </Section>
  );
}
