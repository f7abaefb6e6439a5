export * from './api.ts';
export * from './clock.ts';
export * from './coherence.ts';
export * from './errors.ts';
export { parseCacheGroups } from './groups.ts';
export * from './live.ts';
export { GroupRegistry, type GroupRegistryOptions } from './registry.ts';
export type { UploadOptions, UploadProgress } from './upload.ts';
