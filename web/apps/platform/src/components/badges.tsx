import { Badge, Group, Progress, Text } from '@mantine/core';
import type { EngagementStatus, FlowStatus, ImportStatus, MappingStatus, UserStatus } from '../api/types';
import { flowStatusLabel, formatPercent } from '../lib/format';

interface Look {
  color: string;
  label: string;
}

const flowColor: Record<FlowStatus, string> = {
  draft: 'gray',
  running: 'blue',
  awaiting_review: 'yellow',
  completed: 'spruce',
  cancelled: 'gray',
};

const importLook: Record<ImportStatus, Look> = {
  queued: { color: 'gray', label: 'Queued' },
  reading: { color: 'blue', label: 'Reading' },
  mapping: { color: 'blue', label: 'Mapping' },
  completed: { color: 'spruce', label: 'Completed' },
  failed: { color: 'red', label: 'Failed' },
};

const engagementLook: Record<EngagementStatus, Look> = {
  planned: { color: 'gray', label: 'Planned' },
  active: { color: 'spruce', label: 'Active' },
  completed: { color: 'blue', label: 'Completed' },
};

const mappingLook: Record<MappingStatus, Look> = {
  suggested: { color: 'yellow', label: 'To review' },
  approved: { color: 'spruce', label: 'Approved' },
  rejected: { color: 'red', label: 'Rejected' },
};

const userLook: Record<UserStatus, Look> = {
  active: { color: 'spruce', label: 'Active' },
  pending: { color: 'yellow', label: 'Pending' },
  disabled: { color: 'gray', label: 'Disabled' },
};

function StatusBadge({ color, label }: Look) {
  return (
    <Badge color={color} tt="none" fw={550} className="status-badge">
      {label}
    </Badge>
  );
}

export const FlowBadge = ({ status }: { status: FlowStatus }) => (
  <StatusBadge color={flowColor[status]} label={flowStatusLabel[status]} />
);
export const ImportBadge = ({ status }: { status: ImportStatus }) => <StatusBadge {...importLook[status]} />;
export const EngagementBadge = ({ status }: { status: EngagementStatus }) => (
  <StatusBadge {...engagementLook[status]} />
);
export const MappingBadge = ({ status }: { status: MappingStatus }) => (
  <StatusBadge {...mappingLook[status]} />
);
export const UserBadge = ({ status }: { status: UserStatus }) => <StatusBadge {...userLook[status]} />;

export function ProgressCell({ percent, label }: { percent: number; label: string }) {
  return (
    <Group gap="xs" wrap="nowrap" miw={110}>
      <Progress.Root size={6} style={{ flex: 1, minWidth: 60 }}>
        <Progress.Section value={percent} aria-label={label} />
      </Progress.Root>
      <Text span size="xs" c="dimmed" className="numeric">
        {formatPercent(percent)}
      </Text>
    </Group>
  );
}
