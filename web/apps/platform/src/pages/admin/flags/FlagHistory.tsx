import { Group, Stack, Text, Title } from '@mantine/core';
import { useFeatureFlagChanges, useNameOf } from '../../../api/queries';
import { QueryView } from '../../../components/QueryView';
import { TimeAgo } from '../../../components/TimeAgo';
import { inWords } from '../../../lib/flags';

const SHOWN_MAX = 8;

/** Who changed a flag to what, the newest first. */
export function FlagHistory({ flagKey }: { flagKey: string }) {
  const changes = useFeatureFlagChanges(flagKey);
  const nameOf = useNameOf();
  return (
    <section aria-label="Changes">
      <Title order={3} fz="sm" mb="xs">
        Changes
      </Title>
      <QueryView query={changes}>
        {({ items }) =>
          items.length === 0 ? (
            <Text size="sm" c="dimmed">
              It was never changed: it is as released.
            </Text>
          ) : (
            <Stack component="ol" gap={6} m={0} p={0} style={{ listStyle: 'none' }}>
              {items.slice(0, SHOWN_MAX).map(({ rule, changed_by, changed_at }) => {
                const { label, exceptions } = inWords(rule);
                return (
                  <Group component="li" key={changed_at} justify="space-between" gap="md" wrap="nowrap">
                    <Text size="sm">{[label, ...exceptions].join(' · ')}</Text>
                    <Text size="xs" c="dimmed" style={{ whiteSpace: 'nowrap' }}>
                      {nameOf(changed_by)}, <TimeAgo at={changed_at} />
                    </Text>
                  </Group>
                );
              })}
            </Stack>
          )
        }
      </QueryView>
    </section>
  );
}
