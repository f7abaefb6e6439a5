import { Box, Skeleton, Text } from '@mantine/core';
import type { ReactNode } from 'react';

interface FigureProps {
  label: string;
  value: string | undefined;
  note: ReactNode;
  pending: boolean;
}

/** One number in large type, and what it is of. */
export function Figure({ label, value, note, pending }: FigureProps) {
  return (
    <Box className="card" p="md">
      <Text size="sm" c="dimmed">
        {label}
      </Text>
      {pending ? (
        <Skeleton height={32} width={72} my={6} />
      ) : (
        <Text fz={30} fw={600} lh={1.4} lts="-0.02em">
          {value ?? '–'}
        </Text>
      )}
      <Text size="xs" c="dimmed" component="div">
        {note}
      </Text>
    </Box>
  );
}
