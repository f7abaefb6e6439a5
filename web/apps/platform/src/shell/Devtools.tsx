import { useStore } from '@unstale/client/react';
import { lazy, Suspense, useEffect, useState } from 'react';
import { flags } from '../session/flags';

/** Not part of anybody's page until they ask for it. */
const Panel = lazy(async () => ({ default: (await import('@unstale/client/devtools')).UnstaleDevtools }));

/** The panel for developers: in development, or by Ctrl+Alt+U where the flag allows it. */
export function Devtools() {
  const allowed = useStore(flags.store, ({ ENABLE_DEVTOOLS }) => ENABLE_DEVTOOLS) || import.meta.env.DEV;
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (!allowed) return;
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey && event.altKey && event.code === 'KeyU') setOpen((before) => !before);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [allowed]);
  if (!allowed || !open) return null;
  return (
    <Suspense>
      <Panel onClose={() => setOpen(false)} />
    </Suspense>
  );
}
