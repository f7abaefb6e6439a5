import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { type CoherentSession, SessionBoundary } from '@unstale/client/react';
import { useEffect, useState } from 'react';
import {
  createMemoryRouter,
  Outlet,
  parsePath,
  type RouteObject,
  RouterProvider,
  useNavigate,
  useParams,
  useSearchParams,
} from 'react-router';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { useEngagementId } from '../src/session/session';
import { Frames } from '../src/shell/Frames';
import type { Ahead } from '../src/shell/usePrepared';
import { openSession, pause } from './support';

let session: CoherentSession;
let ahead: Ahead | null = null;
let begun: string[] = [];
let hasTried = false;
let isBroken = true;

function Thing() {
  const { id } = useParams();
  const [search] = useSearchParams();
  const [note, setNote] = useState('');
  useEffect(() => {
    begun.push(id ?? '');
    document.title = `Thing ${id}`;
  }, [id]);
  return (
    <section>
      <h1>{`Thing ${id} ${search.get('of') ?? ''}`}</h1>
      <p>{useEngagementId()}</p>
      <input aria-label="Note" value={note} onChange={(event) => setNote(event.currentTarget.value)} />
    </section>
  );
}

function Broken() {
  hasTried = true;
  if (isBroken) throw new Error('it fails while it is rendered');
  return <p>It works.</p>;
}

const routes: RouteObject[] = [
  { path: '/things/:id', element: <Thing /> },
  { path: '/broken', element: <Broken /> },
];

function Go() {
  const navigate = useNavigate();
  return (
    <>
      <button type="button" onClick={() => navigate('/things/b?of=x')}>
        go
      </button>
      <button type="button" onClick={() => navigate('/broken')}>
        break
      </button>
      <Outlet />
    </>
  );
}

const App = () => <Frames routes={routes} ahead={ahead} keyOf={(pathname) => pathname} />;

async function at(to: string | null) {
  const location = { pathname: '/', search: '', hash: '', state: null, key: 'k', ...parsePath(to ?? '') };
  ahead = to === null ? null : { location, engagementId: 'next' };
  const router = createMemoryRouter(
    [{ element: <Go />, children: [{ path: '*', element: <App />, errorElement: <p>It failed.</p> }] }],
    { initialEntries: ['/things/a'] },
  );
  render(
    <SessionBoundary session={session}>
      <RouterProvider router={router} />
    </SessionBoundary>,
  );
  await pause();
}

const press = async (name: string) => {
  fireEvent.click(screen.getByText(name));
  await pause();
};
const headings = () =>
  [...document.querySelectorAll('section')].map(
    (section) =>
      `${section.querySelector('h1')?.textContent}${section.style.display === 'none' ? ', hidden' : ''}`,
  );

beforeEach(() => {
  [begun, hasTried, isBroken] = [[], false, true];
  session = openSession(vi.fn());
  vi.spyOn(console, 'error').mockImplementation(() => {});
});

afterEach(() => {
  cleanup();
  session.dispose();
  vi.restoreAllMocks();
});

describe('the page that somebody is about to go to', () => {
  it('is rendered behind the one on screen, for its own address, and does nothing yet', async () => {
    await at('/things/b?of=x');
    expect(headings()).toEqual(['Thing a ', 'Thing b x, hidden']);
    expect([...document.querySelectorAll('section p')].map((each) => each.textContent)).toEqual(['', 'next']);
    expect(begun).toEqual(['a']);
    expect(document.title).toBe('Thing a');
  });

  it('is the very page that is shown when they go there', async () => {
    await at('/things/b?of=x');
    const [, prepared] = document.querySelectorAll('section');
    await press('go');
    expect(headings()).toEqual(['Thing b x']);
    expect(document.querySelector('section')).toBe(prepared);
    expect(begun).toEqual(['a', 'b']);
    expect(document.title).toBe('Thing b');
  });

  it('keeps what one does on it', async () => {
    await at('/things/b?of=x');
    await press('go');
    fireEvent.change(screen.getByLabelText('Note'), { target: { value: 'mine' } });
    await act(async () => {});
    expect((screen.getByLabelText('Note') as HTMLInputElement).value).toBe('mine');
  });

  it('begins when they go there if it was not prepared', async () => {
    await at(null);
    await press('go');
    expect(headings()).toEqual(['Thing b x']);
  });

  it('takes nothing down when it fails, and is tried again by who goes there', async () => {
    await at('/broken');
    expect(hasTried).toBe(true);
    expect(headings()).toEqual(['Thing a ']);
    isBroken = false;
    await press('break');
    expect(screen.getByText('It works.')).toBeTruthy();
  });

  it('shows that it fails once it is on screen', async () => {
    await at('/broken');
    await press('break');
    expect(screen.getByText('It failed.')).toBeTruthy();
  });
});
