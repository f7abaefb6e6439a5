import { MantineProvider, Table } from '@mantine/core';
import { act, cleanup, render, screen } from '@testing-library/react';
import { useState } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { FieldMapping } from '../src/api/types';
import { MappingRow } from '../src/pages/mappings/MappingRow';
import { TargetSelect } from '../src/pages/mappings/TargetSelect';

const mapping = (id: string): FieldMapping => ({
  id,
  import_id: 'i',
  position: 0,
  source_column: id,
  target_attribute: null,
  confidence: 0,
  reason: '',
  status: 'suggested',
  sample_values: [],
  reviewed_by: null,
  reviewed_at: null,
  updated_at: '2026-11-20T18:00:00Z',
});

let goTo: (id: string) => void;

function Rows() {
  const [currentId, setCurrentId] = useState('a');
  goTo = setCurrentId;
  return (
    <MantineProvider>
      <Table>
        <Table.Tbody>
          {['a', 'b'].map((id) => (
            <MappingRow
              key={id}
              mapping={mapping(id)}
              options={[]}
              selected={false}
              current={id === currentId}
              mayReview
              onSelect={() => {}}
              onCurrent={setCurrentId}
              onChoose={() => {}}
            />
          ))}
        </Table.Tbody>
      </Table>
    </MantineProvider>
  );
}

describe('the target of a column', () => {
  const options = [{ value: 'hostname', label: 'Host name', description: '' }];
  const show = (target_attribute: string | null, onChoose = vi.fn()) => {
    const of = { ...mapping('Site note'), target_attribute };
    render(
      <MantineProvider>
        <TargetSelect mapping={of} options={options} disabled={false} onChoose={onChoose} />
      </MantineProvider>,
    );
    return onChoose;
  };
  const combobox = () => screen.getByRole('combobox', { name: 'Target of Site note' });
  afterEach(cleanup);

  it.each([
    [null, 'No target'],
    ['hostname', 'Host name'],
    ['custom:Site note', 'Site note'],
    ['custom:Remark', 'Remark'],
  ])('%s is shown as %s', (target, label) => {
    show(target);
    expect(combobox().textContent).toBe(label);
  });

  it('can be the column itself', async () => {
    const onChoose = show(null);
    act(() => combobox().focus());
    act(() => combobox().click());
    const own = await screen.findByRole('option', { name: /^Site note/, hidden: true });
    act(() => own.click());
    expect(onChoose).toHaveBeenCalledWith('Site note', 'custom:Site note');
  });

  it('stays in sight in the list, also under another name than the column’s', () => {
    show('custom:Remark');
    act(() => combobox().focus());
    expect((combobox() as HTMLInputElement).value).toBe('Remark');
  });
});

const rowOf = (name: string) => screen.getByLabelText(`Select ${name}`).closest('tr');

describe('the current row', () => {
  const scrolled = vi.fn();

  beforeEach(() => {
    Element.prototype.scrollIntoView = scrolled;
    render(<Rows />);
    scrolled.mockClear();
  });
  afterEach(cleanup);

  it('stays where it is while its checkbox is pressed', () => {
    act(() => screen.getByLabelText('Select b').focus());
    expect(rowOf('b')?.dataset.current).toBe('true');
    expect(scrolled).not.toHaveBeenCalled();
    expect(document.activeElement).toBe(screen.getByLabelText('Select b'));
  });

  it('comes into view, and has the focus, when keys lead to it', () => {
    act(() => goTo('b'));
    expect(scrolled).toHaveBeenCalledOnce();
    expect(document.activeElement).toBe(rowOf('b'));
  });
});
