import { useEffect, useState } from 'react';
import { formatAgo, formatTime } from '../lib/format';

export function TimeAgo({ at }: { at: string }) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <time dateTime={at} title={formatTime(at)}>
      {formatAgo(at, Math.max(now, new Date(at).getTime()))}
    </time>
  );
}
