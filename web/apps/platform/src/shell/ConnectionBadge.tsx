import { Tooltip, UnstyledButton } from '@mantine/core';
import type { LiveState } from '@unstale/client';
import { useCoherence } from '@unstale/client/react';
import classes from './ConnectionBadge.module.css';

const LOOK: Record<LiveState, { label: string; hint: string }> = {
  live: { label: 'Live', hint: 'Changes of others appear by themselves.' },
  'catching-up': { label: 'Catching up', hint: 'Connecting, then fetching what was missed.' },
  degraded: {
    label: 'Offline',
    hint: 'No live connection: pages are refreshed when you return to them. Press to reconnect.',
  },
};

const SWITCHED_OFF = {
  label: 'Not live',
  hint: 'The cache is switched off, and live updates with it: every page is read anew when it opens.',
};

export function ConnectionBadge() {
  const { state, reconnect } = useCoherence();
  const { label, hint } = reconnect ? LOOK[state] : SWITCHED_OFF;
  return (
    <Tooltip label={hint} multiline maw={260}>
      <UnstyledButton
        className={classes.badge}
        data-state={state}
        onClick={state === 'degraded' && reconnect ? reconnect : undefined}
        aria-label={`Connection: ${label}. ${hint}`}
      >
        <span className={classes.dot} aria-hidden />
        <span className={classes.label}>{label}</span>
      </UnstyledButton>
    </Tooltip>
  );
}
