import { Box, Group, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';

interface SectionProps {
  title: string;
  note?: ReactNode;
  action?: ReactNode;
  children: ReactNode;
}

/** A part of a page with a heading of its own. */
export function Section({ title, note, action, children }: SectionProps) {
  return (
    <Box component="section" aria-label={title} miw={0}>
      <Group justify="space-between" align="flex-end" mb="xs" gap="md">
        <div>
          <Title order={2} fz="md">
            {title}
          </Title>
          {note && (
            <Text size="sm" c="dimmed">
              {note}
            </Text>
          )}
        </div>
        {action}
      </Group>
      {children}
    </Box>
  );
}
