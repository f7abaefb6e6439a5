import type { ComponentType } from 'react';

/**
 * Pages in chunks of their own, by what they show; asked for by the router, and before it by who is about to. The page that
 * everything begins with, sign-in, comes with the application.
 */
export interface PageModule {
  Page: ComponentType;
}

export const pages = {
  requestAccess: () => import('./sign-in/RequestAccess'),
  choose: () => import('./choose/ChooseContext'),
  overview: () => import('./overview/Overview'),
  flows: () => import('./flows/Flows'),
  flow: () => import('./flows/FlowDetail'),
  imports: () => import('./imports/Imports'),
  import: () => import('./imports/ImportDetail'),
  mappings: () => import('./mappings/LatestMappings'),
  review: () => import('./mappings/MappingReview'),
  latestCleansing: () => import('./cleansing/LatestCleansing'),
  cleansing: () => import('./cleansing/DataCleansing'),
  inventory: () => import('./assets/Inventory'),
  administration: () => import('./admin/Administration'),
  users: () => import('./admin/Users'),
  approvals: () => import('./admin/Approvals'),
  clients: () => import('./admin/Clients'),
  engagements: () => import('./admin/Engagements'),
  flags: () => import('./admin/flags/Flags'),
  cache: () => import('./admin/cache/Cache'),
} satisfies Record<string, () => Promise<PageModule>>;

export type PageName = keyof typeof pages;
