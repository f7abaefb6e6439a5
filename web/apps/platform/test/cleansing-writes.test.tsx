import { act, cleanup, renderHook } from '@testing-library/react';
import type { CoherentSession } from '@unstale/client/react';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { useCorrectValues, useUndoCorrections } from '../src/api/cleansing';
import { useDataQuality } from '../src/api/queries';
import type { Correction, DataQuality, ValuesCorrected } from '../src/api/types';
import { openSession, pause, within } from './support';

interface Sent {
  path: string;
  body: { corrections?: Correction[]; correction_ids?: string[] };
  answer: (response: Response) => void;
}

const quality = (values: readonly string[]): DataQuality => ({
  import_id: 'i',
  engagement_id: 'e',
  file_name: 'f.csv',
  rows: 1000,
  rows_inspected: 1000,
  values: 1000,
  doubtful: values.length,
  attributes: [
    {
      position: 1,
      source_column: 'Environment',
      target_attribute: 'environment',
      label: 'Environment',
      data_type: 'text',
      required: false,
      filled: 1000,
      distinct: 5,
      issues: values.map((value) => ({
        kind: 'spelling',
        value,
        rows: 1,
        suggestion: value.toUpperCase(),
        row_numbers: [1],
      })),
      issues_left_out: 0,
    },
  ],
  corrections: [],
});

/** A server reduced to one import: its answers are real, and a write waits until the test lets it end. */
function fakeServer(values: readonly string[]) {
  const state = { quality: quality(values), sent: [] as Sent[] };
  const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });
  const fetch = (url: string, init?: RequestInit) => {
    if (init?.method !== 'POST') return Promise.resolve(json(state.quality));
    return new Promise<Response>((answer) => {
      state.sent.push({ path: url, body: JSON.parse(String(init.body)), answer });
    });
  };
  return { state, json, fetch: fetch as unknown as typeof globalThis.fetch };
}

const VALUES = Array.from({ length: 401 }, (_, at) => `v${at}`);
let server: ReturnType<typeof fakeServer>;
let session: CoherentSession;

beforeEach(() => {
  server = fakeServer(VALUES);
  session = openSession(server.fetch);
});

afterEach(() => {
  cleanup();
  session.dispose();
});

async function openPage() {
  const wrapper = within(session);
  const { result } = renderHook(
    () => ({
      quality: useDataQuality('i'),
      correct: useCorrectValues('i', 'me'),
      undo: useUndoCorrections('i'),
    }),
    { wrapper },
  );
  await pause();
  return {
    correct: () => result.current.correct,
    undo: () => result.current.undo,
    issues: () => result.current.quality.data?.attributes[0]?.issues.length,
    corrections: () => result.current.quality.data?.corrections.map(({ original }) => original),
  };
}

const corrections = (values: readonly string[]): Correction[] =>
  values.map((value) => ({ position: 1, value, replacement: value.toUpperCase() }));
const done = (ids: readonly string[]): ValuesCorrected => ({ corrections: [...ids], rows: ids.length });

describe('corrections', () => {
  it('are shown before the server has answered', async () => {
    const page = await openPage();
    act(() => page.correct().mutate(corrections(['v0', 'v1'])));
    await pause();
    expect(page.issues()).toBe(399);
    expect(page.corrections()).toEqual(['v1', 'v0']);
  });

  it('go in parts, one after the other, and are one answer', async () => {
    const page = await openPage();
    act(() => page.correct().mutate(corrections(VALUES)));
    for (const [part, size] of [200, 200, 1].entries()) {
      await pause();
      expect(server.state.sent).toHaveLength(part + 1);
      const { path, body, answer } = server.state.sent[part] as Sent;
      expect(path).toContain('/data-cleansing/i/corrections');
      expect(body.corrections).toHaveLength(size);
      server.state.quality = quality(VALUES.slice(200 * part + size));
      answer(server.json(done([`id${part}`])));
    }
    await pause();
    expect(page.correct().data?.data).toEqual({ corrections: ['id0', 'id1', 'id2'], rows: 3 });
    expect(page.issues()).toBe(0);
  });

  it('that were made before one was refused stay, and the others are not shown as made', async () => {
    const page = await openPage();
    act(() => page.correct().mutate(corrections(VALUES)));
    await pause();
    server.state.quality = quality(VALUES.slice(200));
    server.state.sent[0]?.answer(server.json(done(['id0'])));
    await pause();
    server.state.sent[1]?.answer(server.json({ title: 'No row shows it' }, 409));
    await pause();
    expect(page.correct().error).toMatchObject({ status: 409 });
    expect(page.issues()).toBe(201);
    expect(server.state.sent).toHaveLength(2);
  });

  it('leave the list when they are taken back, and come back to it if that is refused', async () => {
    const made = {
      id: 'id0',
      position: 1,
      source_column: 'Environment',
      target_attribute: 'environment',
      original: 'v0',
      replacement: 'V0',
      rows: 1,
      corrected_by: 'me',
      corrected_at: '2026-11-21T11:00:00Z',
    };
    server.state.quality = { ...quality(VALUES.slice(1)), corrections: [made] };
    const page = await openPage();
    act(() => page.undo().mutate(['id0']));
    await pause();
    expect(page.corrections()).toEqual([]);
    expect(server.state.sent[0]?.body).toEqual({ correction_ids: ['id0'] });
    server.state.sent[0]?.answer(server.json({ title: 'Not found' }, 404));
    await pause();
    expect(page.corrections()).toEqual(['v0']);
  });
});
