import { Button } from '@mantine/core';
import { IconCloudOff, IconPlugConnectedX } from '@tabler/icons-react';
import { useCoherence } from '@unstale/client/react';
import { type ReactNode, useEffect, useState } from 'react';
import { formatTime } from '../lib/format';
import classes from './ConnectionBanner.module.css';

/** A connection that comes back by itself within this time is nobody's business. */
const PATIENCE_MS = 4_000;

/** Says what the reader has to know: that changes of others do not come, or that what is shown is from before. */
export function ConnectionBanner() {
  const { state, lastKnownAt, reconnect } = useCoherence();
  const degraded = useLasting(state === 'degraded', PATIENCE_MS);

  if (lastKnownAt !== null) {
    return (
      <Banner kind="offline" icon={<IconCloudOff size={18} aria-hidden />} title="You are offline">
        What is shown was last known on {formatTime(new Date(lastKnownAt).toISOString())}. It is read again as
        soon as the server can be reached.
      </Banner>
    );
  }
  if (!degraded || !reconnect) return null;
  return (
    <Banner
      kind="degraded"
      icon={<IconPlugConnectedX size={18} aria-hidden />}
      title="No live connection"
      action={
        <Button variant="default" size="compact-sm" onClick={reconnect}>
          Reconnect
        </Button>
      }
    >
      Changes of others appear when you return to this page or reload it. Your own work is saved as usual.
    </Banner>
  );
}

interface BannerProps {
  kind: 'offline' | 'degraded';
  icon: ReactNode;
  title: string;
  action?: ReactNode;
  children: ReactNode;
}

function Banner({ kind, icon, title, action, children }: BannerProps) {
  return (
    <div className={`card ${classes.banner}`} data-kind={kind} role="status">
      <span className={classes.icon}>{icon}</span>
      <span className={classes.title}>{title}</span>
      <span className={classes.text}>{children}</span>
      {action}
    </div>
  );
}

/** True once `is` has been true for a while. */
function useLasting(is: boolean, forMs: number): boolean {
  const [lasting, setLasting] = useState(false);
  useEffect(() => {
    if (!is) return setLasting(false);
    const timer = setTimeout(() => setLasting(true), forMs);
    return () => clearTimeout(timer);
  }, [is, forMs]);
  return is && lasting;
}
