import { Button } from '@mantine/core';
import { IconCircleCheck, IconFilterOff } from '@tabler/icons-react';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { Link } from 'react-router';
import type { DataQuality } from '../../api/types';
import { useRowKeys } from '../../components/review/useRowKeys';
import { Notice } from '../../components/states';
import {
  correctionsOf,
  type Draft,
  type Drafts,
  groupIssues,
  isCorrectable,
  issueId,
  issuesOf,
  noFilter,
  type Place,
  placesOf,
  replacementOf,
} from '../../lib/cleansing';
import { emptySelection, extend, toggle, toggleAll, toggleSome, visibleSelection } from '../../lib/selection';
import { usePermissions } from '../../session/permissions';
import { CorrectionBar } from './CorrectionBar';
import { IssueTable, type Opened, selectionState, shownOf } from './IssueTable';
import { IssueToolbar, SEARCH_ID } from './IssueToolbar';
import { useCorrect } from './useCorrect';

/** The row that keys act on, and whether its replacement is being written. */
interface Current {
  id: string;
  editing: boolean;
}

/** What is doubtful, by attribute: looked through, selected, and corrected. */
export function IssueBoard({ quality }: { quality: DataQuality }) {
  const { import_id: importId, attributes } = quality;
  const [filter, setFilter] = useState(noFilter);
  const [selection, setSelection] = useState(emptySelection);
  const [current, setCurrent] = useState<Current | null>(null);
  const [drafts, setDrafts] = useState<Drafts>(new Map());
  const [opened, setOpened] = useState<ReadonlyMap<number, Opened>>(new Map());
  const mayCorrect = usePermissions()('mappings:review');
  const { correct, busy } = useCorrect(importId);
  const board = useRef<HTMLDivElement>(null);

  const groups = useMemo(() => groupIssues(attributes, filter), [attributes, filter]);
  const places = useMemo(() => placesOf(groups), [groups]);
  const shown = useMemo(
    () =>
      placesOf(
        groups.map((group) => ({ ...group, issues: shownOf(group, opened.get(group.attribute.position)) })),
      ),
    [groups, opened],
  );
  const shownIds = useMemo(() => shown.map(idOf), [shown]);
  // What a filter hides is not acted on; what is folded away is, and its attribute says how much of it is selected.
  const selectableIds = useMemo(() => places.filter(({ issue }) => isCorrectable(issue)).map(idOf), [places]);
  const selectedIds = visibleSelection(selection, selectableIds);
  const ready = places.filter(
    (place) => isCorrectable(place.issue) && replacementOf(place.issue, drafts.get(idOf(place))) !== null,
  );
  const chosen = ready.filter((place) => selection.ids.has(idOf(place)));

  const forgetDrafts = (ids: ReadonlySet<string>) =>
    setDrafts((before) => new Map([...before].filter(([id]) => !ids.has(id))));

  const correctIds = (ids: readonly string[]) => {
    const wanted = new Set(ids);
    const corrections = correctionsOf(
      places.filter((place) => wanted.has(idOf(place))),
      drafts,
    );
    if (corrections.length === 0 || !mayCorrect) return;
    const done = new Set(corrections.map(({ position, value }) => issueId(position, { value })));
    // What is corrected leaves the table; whoever was in it goes on with the row after it.
    const last = shownIds.findLastIndex((id) => done.has(id));
    const next =
      shownIds.slice(last + 1).find((id) => !done.has(id)) ?? shownIds.findLast((id) => !done.has(id));
    if (next === undefined) board.current?.focus();
    else setCurrent({ id: next, editing: isWriting() });
    setSelection(emptySelection);
    correct(corrections, {
      onDone: () => forgetDrafts(done),
      onRefused: () => done.size > 1 && setSelection({ ids: done, anchor: null }),
    });
  };

  // Rows are memoised; through the ref their handlers stay the same while what they act on changes.
  const latest = useRef({ correctIds, shownIds });
  useEffect(() => {
    latest.current = { correctIds, shownIds };
  });
  const onSelect = useCallback(
    (id: string, range: boolean) =>
      setSelection((before) => (range ? extend(before, id, latest.current.shownIds) : toggle(before, id))),
    [],
  );
  const onCurrent = useCallback(
    (id: string) =>
      setCurrent((before) => (before?.id === id && !before.editing ? before : { id, editing: false })),
    [],
  );
  const onDraft = useCallback(
    (id: string, draft: Draft | undefined) =>
      setDrafts((before) => {
        const after = new Map(before);
        if (draft === undefined) after.delete(id);
        else after.set(id, draft);
        return after;
      }),
    [],
  );
  const onCorrect = useCallback((id: string) => latest.current.correctIds([id]), []);
  const onOpened = useCallback(
    (position: number, how: Opened) => setOpened((before) => new Map(before).set(position, how)),
    [],
  );
  const onSelectMany = useCallback(
    (ids: readonly string[]) => setSelection((before) => toggleSome(before, ids)),
    [],
  );

  useRowKeys({
    searchId: SEARCH_ID,
    shownIds,
    selectedIds,
    currentId: current?.id ?? null,
    setCurrentId: (id) => setCurrent({ id, editing: false }),
    setSelection,
    enabled: mayCorrect,
    actions: {
      c: correctIds,
      e: () => setCurrent((before) => before && { ...before, editing: true }),
    },
  });

  const clean = issuesOf(quality) === 0;
  return (
    <div ref={board} tabIndex={-1} style={{ outline: 'none' }}>
      {clean ? (
        <NothingDoubtful importId={importId} />
      ) : (
        <IssueToolbar
          attributes={attributes}
          filter={filter}
          onFilter={setFilter}
          ready={mayCorrect ? ready.length : null}
          onSelectReady={() => setSelection({ ids: new Set(ready.map(idOf)), anchor: null })}
        />
      )}
      {groups.length === 0 ? (
        <Notice
          icon={<IconFilterOff size={26} />}
          title="No value matches"
          action={
            <Button variant="default" onClick={() => setFilter(noFilter)}>
              Show all values
            </Button>
          }
        />
      ) : (
        <IssueTable
          importId={importId}
          rows={quality.rows_inspected}
          groups={groups}
          opened={opened}
          onOpened={onOpened}
          drafts={drafts}
          selected={selection.ids}
          all={selectionState(selectedIds.length, selectableIds.length)}
          current={current}
          mayCorrect={mayCorrect}
          onSelect={onSelect}
          onSelectMany={onSelectMany}
          onSelectAll={() => setSelection((before) => toggleAll(before, selectableIds))}
          onCurrent={onCurrent}
          onDraft={onDraft}
          onCorrect={onCorrect}
        />
      )}
      {mayCorrect && (
        <CorrectionBar
          selected={selectedIds.length}
          ready={chosen.length}
          busy={busy}
          onCorrect={() => correctIds(selectedIds)}
          onClear={() => setSelection(emptySelection)}
        />
      )}
    </div>
  );
}

const idOf = ({ attribute, issue }: Place): string => issueId(attribute.position, issue);

const isWriting = () =>
  document.activeElement instanceof HTMLInputElement && document.activeElement.type === 'text';

function NothingDoubtful({ importId }: { importId: string }) {
  return (
    <Notice
      icon={<IconCircleCheck size={26} />}
      color="spruce"
      title="Nothing doubtful"
      action={
        <Button component={Link} to={`/inventory?import=${importId}`}>
          Go on to the inventory
        </Button>
      }
    >
      Every value of the approved columns is what its attribute holds.
    </Notice>
  );
}
