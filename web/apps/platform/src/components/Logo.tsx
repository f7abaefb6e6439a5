import { Group, Text } from '@mantine/core';

export function LogoMark({ size = 28 }: { size?: number }) {
  return <img src="/favicon.svg" width={size} height={size} alt="" />;
}

export function Logo({ compact = false }: { compact?: boolean }) {
  return (
    <Group gap={10} wrap="nowrap">
      <LogoMark />
      {!compact && (
        <Text component="span" fw={620} fz="md" lts="-0.01em" style={{ whiteSpace: 'nowrap' }}>
          Unstale{' '}
          <Text component="span" inherit c="dimmed" fw={480}>
            Migrate
          </Text>
        </Text>
      )}
    </Group>
  );
}
