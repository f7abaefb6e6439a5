import { Text, Timeline } from '@mantine/core';
import { IconCheck, IconPointFilled } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import type { FlowPhase, FlowStep } from '../../api/types';
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

/** Where the work of a phase is done. */
const PLACE: Record<FlowPhase, (importId: string) => string> = {
  data_import: (importId) => `/imports/${importId}`,
  field_mapping: (importId) => `/imports/${importId}/mappings`,
  data_cleansing: (importId) => `/imports/${importId}/cleansing`,
  asset_inventory: (importId) => `/inventory?import=${importId}`,
};

interface FlowStepsProps {
  steps: readonly FlowStep[];
  /** Without an import there is nowhere to go yet. */
  importId: string | null;
}

export function FlowSteps({ steps, importId }: FlowStepsProps) {
  const reached = steps.findLastIndex(({ status }) => status !== 'pending');
  return (
    <Timeline active={reached} bulletSize={24} lineWidth={2}>
      {steps.map((step) => (
        <Timeline.Item
          key={step.phase}
          title={
            importId === null ? (
              phaseLabel[step.phase]
            ) : (
              <Link to={PLACE[step.phase](importId)} className="plain-link">
                {phaseLabel[step.phase]}
              </Link>
            )
          }
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
