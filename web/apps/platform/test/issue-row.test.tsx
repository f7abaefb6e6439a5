import { MantineProvider, Table } from '@mantine/core';
import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { useCallback, useState } from 'react';
import { MemoryRouter } from 'react-router';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { QualityIssue } from '../src/api/types';
import type { Draft } from '../src/lib/cleansing';
import { IssueRow } from '../src/pages/cleansing/IssueRow';

const issue = (value: string, overrides: Partial<QualityIssue> = {}): QualityIssue => ({
  kind: 'spelling',
  value,
  rows: 1,
  suggestion: value.toUpperCase(),
  row_numbers: [1],
  ...overrides,
});
const ISSUES = [issue('a'), issue('b'), issue('c', { suggestion: null })];

/** Says which rows are rendered: each shows its value. */
const rendered = vi.hoisted(() => vi.fn());
vi.mock('../src/pages/cleansing/ShownValue', () => ({
  ShownValue: ({ value }: { value: string }) => {
    rendered(value);
    return value;
  },
}));
const corrected = vi.fn();
const nothing = () => {};

function Rows({ mayCorrect = true }: { mayCorrect?: boolean }) {
  const [drafts, setDrafts] = useState<ReadonlyMap<string, Draft>>(new Map());
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
  return (
    <MantineProvider>
      <MemoryRouter>
        <Table>
          <Table.Tbody>
            {ISSUES.map((each) => (
              <IssueRow
                key={each.value}
                id={each.value}
                importId="i"
                issue={each}
                label="Environment"
                dataType="text"
                draft={drafts.get(each.value)}
                selected={false}
                current={null}
                mayCorrect={mayCorrect}
                onSelect={nothing}
                onCurrent={nothing}
                onDraft={onDraft}
                onCorrect={corrected}
              />
            ))}
          </Table.Tbody>
        </Table>
      </MemoryRouter>
    </MantineProvider>
  );
}

const field = (value: string) =>
  screen.getByLabelText(`Replacement of ${value} in Environment`) as HTMLInputElement;
const button = (value: string) =>
  screen.getByLabelText(`Correct ${value} in Environment`) as HTMLButtonElement;
const write = (value: string, text: string) =>
  act(() => fireEvent.change(field(value), { target: { value: text } }));

afterEach(() => {
  cleanup();
  rendered.mockClear();
  corrected.mockClear();
});

describe('a row of an issue', () => {
  it('is the only one that is rendered when its replacement is written', () => {
    render(<Rows />);
    expect(rendered.mock.calls.flat()).toEqual(['a', 'b', 'c']);
    rendered.mockClear();
    write('b', 'beta');
    expect(field('b').value).toBe('beta');
    expect(rendered.mock.calls.flat()).toEqual(['b']);
  });

  it('can be corrected once there is something to stand for its value', () => {
    render(<Rows />);
    expect([button('a').disabled, button('c').disabled]).toEqual([false, true]);
    write('c', 'gamma');
    expect(button('c').disabled).toBe(false);
    act(() => screen.getByLabelText('Show no value for a in Environment').click());
    expect([field('a').value, field('a').placeholder, button('a').disabled]).toEqual(['', 'no value', false]);
  });

  it('is corrected by Enter, and is as it was by Escape', () => {
    render(<Rows />);
    write('a', 'alpha');
    act(() => fireEvent.keyDown(field('a'), { key: 'Escape' }));
    expect(field('a').value).toBe('A');
    act(() => fireEvent.keyDown(field('a'), { key: 'Enter' }));
    expect(corrected).toHaveBeenCalledExactlyOnceWith('a');
  });

  it('is only to be read by who may not correct', () => {
    render(<Rows mayCorrect={false} />);
    expect(screen.queryAllByRole('checkbox')).toEqual([]);
    expect(screen.queryAllByRole('textbox')).toEqual([]);
    expect(screen.getByText('A')).toBeDefined();
  });
});
