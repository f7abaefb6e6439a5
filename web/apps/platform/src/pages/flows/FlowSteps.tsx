import { Text, Timeline } from '@mantine/core';
import { IconCheck, IconPointFilled } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { FlowStep } from '../../api/types';
import { phaseLabel } from '../../lib/format';

const STATE_TEXT: Record<FlowStep['status'], string> = {
  done: 'Done',
  active: 'In progress',
  pending: 'Not started',
};

const BULLET: Record<FlowStep['status'], ReactNode> = {
  done: <IconCheck size={14} aria-hidden />,
  active: <IconPointFilled size={16} aria-hidden />,
  pending: <span />,
};

export function FlowSteps({ steps }: { steps: readonly FlowStep[] }) {
  const reached = steps.findLastIndex(({ status }) => status !== 'pending');
  return (
    <Timeline active={reached} bulletSize={24} lineWidth={2}>
      {steps.map((step) => (
        <Timeline.Item
          key={step.phase}
          title={phaseLabel[step.phase]}
          bullet={BULLET[step.status]}
          lineVariant={step.status === 'pending' ? 'dashed' : 'solid'}
        >
          <Text size="sm" c="dimmed">
            {[STATE_TEXT[step.status], step.detail].filter(Boolean).join(' · ')}
          </Text>
        </Timeline.Item>
      ))}
    </Timeline>
  );
}
