import { Text, Timeline } from '@mantine/core';
import { IconCheck } from '@tabler/icons-react';
import type { FlowStep } from '../../api/types';
import { phaseLabel } from '../../lib/format';

const STATE_TEXT: Record<FlowStep['status'], string> = {
  done: 'Done',
  active: 'In progress',
  pending: 'Not started',
};

export function FlowSteps({ steps }: { steps: readonly FlowStep[] }) {
  const reached = steps.findLastIndex(({ status }) => status !== 'pending');
  return (
    <Timeline active={reached} bulletSize={24} lineWidth={2}>
      {steps.map((step) => (
        <Timeline.Item
          key={step.phase}
          title={phaseLabel[step.phase]}
          bullet={step.status === 'done' ? <IconCheck size={14} aria-hidden /> : undefined}
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
