import type { ClientEvent } from '@unstale/client';
import { useCoherence, useCoherentSession } from '@unstale/client/react';
import { type CSSProperties, useEffect, useState } from 'react';

/**
 * Which query holds which groups, why it was read again, and what was saved. For developers: load it lazily, behind a
 * key or a flag. It reads a session and changes nothing.
 */
export interface UnstaleDevtoolsProps {
  onClose?: () => void;
}

/** Often enough to watch, seldom enough not to be what is watched. */
const REFRESH_MS = 500;

const panel: CSSProperties = {
  position: 'fixed',
  insetInline: 12,
  bottom: 12,
  maxHeight: '48vh',
  overflow: 'auto',
  zIndex: 1000,
  padding: '12px 16px 16px',
  borderRadius: 12,
  background: '#10201c',
  color: '#e8f3ef',
  font: '12px/1.5 ui-monospace, SFMono-Regular, Menlo, monospace',
  boxShadow: '0 18px 50px rgb(0 0 0 / 0.4)',
};
const cell: CSSProperties = { textAlign: 'left', padding: '3px 12px 3px 0', verticalAlign: 'top' };
const muted: CSSProperties = { color: '#a3c2b8' };
const button: CSSProperties = {
  font: 'inherit',
  color: 'inherit',
  background: 'transparent',
  border: '1px solid #4d7a6c',
  borderRadius: 6,
  padding: '2px 10px',
  cursor: 'pointer',
};

const shorten = (group: string) => (group.length > 10 ? `${group.slice(0, 8)}…` : group);

/** Why a query was read the last time: what happened between the read before it and that one. */
function lastReason(events: readonly ClientEvent[], query: string): string {
  const isRead = (event: ClientEvent) => event.type === 'read' && event.query === query;
  const last = events.findLastIndex(isRead);
  const before = events.slice(0, Math.max(last, 0)).findLastIndex(isRead);
  if (before < 0) return 'first shown';
  const between = events.slice(before + 1, last).toReversed();
  return (
    between.map((event) => reasonOf(event, query)).find((reason) => reason !== undefined) ??
    'stale or asked for'
  );
}

function reasonOf(event: ClientEvent, query: string): string | undefined {
  if (event.type === 'invalidated' && event.queries.includes(query)) return 'a group moved';
  if (event.type === 'invalidated' && event.skipped.includes(query)) return 'own write, seen already';
  if (event.type === 'resync') return `resync: ${event.reason}`;
  return undefined;
}

export function UnstaleDevtools({ onClose }: UnstaleDevtoolsProps) {
  const session = useCoherentSession();
  const { state } = useCoherence();
  const [, setTick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTick((tick) => tick + 1), REFRESH_MS);
    return () => clearInterval(timer);
  }, []);

  const { counters, happenings } = session.activity;
  const events = happenings.map(({ event }) => event);
  const queries = session.queryClient.getQueryCache().getAll();
  const saved = counters.joined + counters.notModified + counters.skipped;
  const figures: readonly (readonly [string, number])[] = [
    ['requests', counters.requests],
    ['reads', counters.reads],
    ['in batches', counters.batched],
    ['joined', counters.joined],
    ['not modified', counters.notModified],
    ['events', counters.invalidations],
    ['refetches saved', saved],
    ['resyncs', counters.resyncs],
  ];

  return (
    <aside style={panel} aria-label="Unstale devtools">
      <div style={{ display: 'flex', gap: 18, alignItems: 'center', flexWrap: 'wrap' }}>
        <strong>Unstale · {state}</strong>
        {figures.map(([name, value]) => (
          <span key={name}>
            <span style={muted}>{name}</span> {value}
          </span>
        ))}
        <button type="button" style={{ ...button, marginLeft: 'auto' }} onClick={onClose}>
          Close
        </button>
      </div>
      <table style={{ borderCollapse: 'collapse', marginTop: 8, width: '100%' }}>
        <thead>
          <tr style={muted}>
            {['Query', 'State', 'Groups it holds', 'Last read', 'Last reason'].map((name) => (
              <th key={name} scope="col" style={cell}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {queries.map((query) => {
            const groups = [...session.coherence.groupsOf(query.queryHash)];
            const reason = lastReason(events, query.queryHash);
            const scoped = query.queryKey.slice(session.scope.length);
            return (
              <tr key={query.queryHash}>
                <td style={cell}>
                  {scoped.map((part) => (typeof part === 'string' ? part : JSON.stringify(part))).join(' / ')}
                </td>
                <td style={{ ...cell, whiteSpace: 'nowrap' }}>
                  {query.isActive() ? 'on screen' : 'kept'}
                  {query.isStale() ? ', stale' : ''}
                </td>
                <td style={cell} title={groups.join('\n')}>
                  {groups.slice(0, 4).map(shorten).join(' ')}
                  {groups.length > 4 ? ` +${groups.length - 4}` : ''}
                </td>
                <td style={{ ...cell, whiteSpace: 'nowrap' }}>
                  {query.state.dataUpdatedAt
                    ? new Date(query.state.dataUpdatedAt).toLocaleTimeString()
                    : 'never'}
                </td>
                <td style={{ ...cell, whiteSpace: 'nowrap' }}>{reason}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </aside>
  );
}
