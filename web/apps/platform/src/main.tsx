import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import '@mantine/dropzone/styles.css';
import '@fontsource-variable/geist';
import '@fontsource-variable/geist-mono';
import './theme/global.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { unstale, watchSession, watchSignOut } from './session/session';
import { startVitals } from './session/vitals';

const root = document.getElementById('root');
if (!root) throw new Error('index.html has an element with the id "root"');

watchSession();
watchSignOut();
startVitals();
// Asked before React is ready, so that the answer comes while it gets ready; the provider finds it begun.
unstale.start();
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
