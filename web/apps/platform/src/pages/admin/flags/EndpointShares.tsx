import { ActionIcon, Group, Input, NumberInput, Select, Stack, Text } from '@mantine/core';
import { IconTrash } from '@tabler/icons-react';

type Shares = Record<string, number>;

interface EndpointSharesProps {
  endpoints: readonly string[];
  value: Shares;
  onChange: (value: Shares) => void;
}

/** Shares that endpoints have of their own. */
export function EndpointShares({ endpoints, value, onChange }: EndpointSharesProps) {
  const without = (endpoint: string) =>
    Object.fromEntries(Object.entries(value).filter(([name]) => name !== endpoint));
  const free = endpoints.filter((endpoint) => !(endpoint in value));
  return (
    <Input.Wrapper label="Endpoints with a share of their own" labelElement="div">
      <Stack gap="xs" mt={4}>
        {Object.entries(value).map(([endpoint, share]) => (
          <Group key={endpoint} wrap="nowrap" gap="sm">
            <Text size="sm" className="mono" style={{ flex: 1, minWidth: 0, overflowWrap: 'anywhere' }}>
              {endpoint}
            </Text>
            <NumberInput
              aria-label={`Share of users for ${endpoint}`}
              suffix=" %"
              min={0}
              max={100}
              allowDecimal={false}
              value={share}
              onChange={(given) => typeof given === 'number' && onChange({ ...value, [endpoint]: given })}
              w={104}
            />
            <ActionIcon
              variant="default"
              size="lg"
              aria-label={`Remove the share of ${endpoint}`}
              onClick={() => onChange(without(endpoint))}
            >
              <IconTrash size={17} stroke={1.6} />
            </ActionIcon>
          </Group>
        ))}
        <Select
          aria-label="Add an endpoint"
          placeholder="Add an endpoint"
          data={free}
          value={null}
          searchable
          disabled={free.length === 0}
          onChange={(endpoint) => endpoint && onChange({ ...value, [endpoint]: 0 })}
        />
      </Stack>
    </Input.Wrapper>
  );
}
