import { createContext } from 'react';

/** The engagement that a page is about: the chosen one, or for a page that is prepared the one that is about to be chosen. */
export const EngagementOfPage = createContext<string | null>(null);
