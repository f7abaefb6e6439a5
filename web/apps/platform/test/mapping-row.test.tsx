import { MantineProvider, Table } from '@mantine/core';
import { act, cleanup, render, screen } from '@testing-library/react';
import { useState } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { FieldMapping } from '../src/api/types';
import { MappingRow } from '../src/pages/mappings/MappingRow';

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
