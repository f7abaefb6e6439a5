import { Alert, Button } from '@mantine/core';
import { IconCloudOff, IconPlugConnectedX } from '@tabler/icons-react';
import { useCoherence } from '@unstale/client/react';
import { useEffect, useState } from 'react';
import { formatTime } from '../lib/format';

/** A connection that comes back by itself within this time is nobody's business. */
const PATIENCE_MS = 4_000;

/** Says what the reader has to know: that changes of others do not come, or that what is shown is from before. */
export function ConnectionBanner() {
  const { state, lastKnownAt, reconnect } = useCoherence();
  const degraded = useLasting(state === 'degraded', PATIENCE_MS);

  if (lastKnownAt !== null) {
    return (
      <Alert
        color="yellow"
        icon={<IconCloudOff size={18} />}
        title="You are offline"
        role="status"
        mb="md"
        data-offline
      >
        What is shown was last known on {formatTime(new Date(lastKnownAt).toISOString())}. It is read again as
        soon as the server can be reached.
      </Alert>
    );
  }
  if (!degraded) return null;
  return (
    <Alert
      color="gray"
      icon={<IconPlugConnectedX size={18} />}
      title="No live connection"
      role="status"
      mb="md"
    >
      Changes of others appear when you return to this page or reload it. Your own work is saved as usual.{' '}
      <Button variant="subtle" size="compact-sm" onClick={reconnect}>
        Reconnect
      </Button>
    </Alert>
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
