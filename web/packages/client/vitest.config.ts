import { defaultClientConditions } from 'vite';
import { defineConfig } from 'vitest/config';

/** Sources of the workspace's packages, not what they publish. */
const conditions = ['@unstale/source', ...defaultClientConditions];
/** `PEERS=oldest`: with the oldest TanStack Query that the package says it works with. */
const alias = process.env.PEERS === 'oldest' ? { '@tanstack/react-query': 'react-query-oldest' } : {};

export default defineConfig({
  resolve: { conditions, alias },
  ssr: { resolve: { conditions } },
  test: { environment: 'happy-dom', include: ['test/**/*.test.{ts,tsx}'] },
});
