import { Group, Progress, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import type {
  EngagementStatus,
  FlowStatus,
  ImportStatus,
  IssueKind,
  MappingStatus,
  UserStatus,
} from '../api/types';
import { flowStatusLabel, formatPercent, issueLabel } from '../lib/format';

export type Tone = 'neutral' | 'good' | 'busy' | 'attention' | 'bad';

interface Look {
  tone: Tone;
  label: string;
}

export function Badge({ tone = 'neutral', children }: { tone?: Tone; children: ReactNode }) {
  return (
    <span className="badge" data-tone={tone}>
      {children}
    </span>
  );
}

const flowTone: Record<FlowStatus, Tone> = {
  draft: 'neutral',
  running: 'busy',
  awaiting_review: 'attention',
  completed: 'good',
  cancelled: 'neutral',
};

const importLook: Record<ImportStatus, Look> = {
  queued: { tone: 'neutral', label: 'Queued' },
  reading: { tone: 'busy', label: 'Reading' },
  mapping: { tone: 'busy', label: 'Mapping' },
  completed: { tone: 'good', label: 'Completed' },
  failed: { tone: 'bad', label: 'Failed' },
};

const engagementLook: Record<EngagementStatus, Look> = {
  planned: { tone: 'neutral', label: 'Planned' },
  active: { tone: 'good', label: 'Active' },
  completed: { tone: 'busy', label: 'Completed' },
};

const mappingLook: Record<MappingStatus, Look> = {
  suggested: { tone: 'attention', label: 'To review' },
  approved: { tone: 'good', label: 'Approved' },
  rejected: { tone: 'bad', label: 'Rejected' },
};

const issueTone: Record<IssueKind, Tone> = {
  missing: 'bad',
  placeholder: 'attention',
  wrong_type: 'bad',
  spelling: 'busy',
  duplicate: 'attention',
};

const userLook: Record<UserStatus, Look> = {
  active: { tone: 'good', label: 'Active' },
  pending: { tone: 'attention', label: 'Pending' },
  disabled: { tone: 'neutral', label: 'Disabled' },
};

const StatusBadge = ({ tone, label }: Look) => <Badge tone={tone}>{label}</Badge>;

export const FlowBadge = ({ status }: { status: FlowStatus }) => (
  <StatusBadge tone={flowTone[status]} label={flowStatusLabel[status]} />
);
export const ImportBadge = ({ status }: { status: ImportStatus }) => <StatusBadge {...importLook[status]} />;
export const EngagementBadge = ({ status }: { status: EngagementStatus }) => (
  <StatusBadge {...engagementLook[status]} />
);
export const MappingBadge = ({ status }: { status: MappingStatus }) => (
  <StatusBadge {...mappingLook[status]} />
);
export const IssueBadge = ({ kind }: { kind: IssueKind }) => (
  <StatusBadge tone={issueTone[kind]} label={issueLabel[kind]} />
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
