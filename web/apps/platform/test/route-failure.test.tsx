import { MantineProvider } from '@mantine/core';
import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import { ApiError } from '@unstale/client';
import { createMemoryRouter } from 'react-router';
import { RouterProvider } from 'react-router/dom';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { RouteFailure, UnknownAddress } from '../src/shell/RouteFailure';

beforeEach(() => {
  // What React says of an error that a boundary catches.
  vi.spyOn(console, 'error').mockImplementation(() => {});
});

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
});

function open(path: string, failure: unknown) {
  const lazy = () => Promise.reject(failure);
  const children = [
    { path: 'page', lazy },
    { path: '*', Component: UnknownAddress },
  ];
  const router = createMemoryRouter([{ ErrorBoundary: RouteFailure, children }], { initialEntries: [path] });
  render(
    <MantineProvider>
      <RouterProvider router={router} />
    </MantineProvider>,
  );
  return screen.findByRole('heading', { level: 1 });
}

it('a page whose code is gone after a deployment is loaded anew with the document', async () => {
  const reload = vi.spyOn(window.location, 'reload').mockImplementation(() => {});
  const heading = await open('/page', new TypeError('Failed to fetch dynamically imported module'));
  expect(heading.textContent).toBe('Something went wrong');
  fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
  expect(reload).toHaveBeenCalledOnce();
});

it.each([
  [404, 'Not found'],
  [403, 'You may not see this page'],
  [503, 'Down'],
])('a page that fails with %s says so', async (status, title) => {
  const heading = await open('/page', new ApiError({ type: 'about:blank', title: 'Down', status }));
  expect(heading.textContent).toBe(title);
});

it('an address that is none leads back', async () => {
  expect((await open('/nowhere', null)).textContent).toBe('Not found');
  expect(screen.getByRole('link', { name: 'Go to the overview' }).getAttribute('href')).toBe('/overview');
});
