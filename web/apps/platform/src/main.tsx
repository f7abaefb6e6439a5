import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import '@mantine/dropzone/styles.css';
import '@fontsource-variable/geist';
import '@fontsource-variable/geist-mono';
import './theme/global.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { bootSession } from './session/session';

const root = document.getElementById('root');
if (!root) throw new Error('index.html has an element with the id "root"');

void bootSession();
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
