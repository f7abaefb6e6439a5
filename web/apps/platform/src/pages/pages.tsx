import { type ComponentType, use } from 'react';

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

const loading = new Map<PageName, Promise<ComponentType>>();
const loaded = new Map<PageName, ComponentType>();

/** Once; unless it fails, which the next one who asks may not. */
export function loadPage(name: PageName): Promise<ComponentType> {
  const before = loading.get(name);
  if (before) return before;
  const page = pages[name]().then(({ Page }) => {
    loaded.set(name, Page);
    return Page;
  });
  page.catch(() => loading.delete(name));
  loading.set(name, page);
  return page;
}

/** A page whose code is there already, as it is wherever the router or whoever prepares a page has asked for it, is rendered at once. */
export function PageOf({ name }: { name: PageName }) {
  const Page = loaded.get(name) ?? use(loadPage(name));
  return <Page />;
}
