import { defaultClientConditions } from 'vite';
import { defineConfig } from 'vitest/config';

/** Sources of the workspace's packages, not what they publish. */
const conditions = ['@unstale/source', ...defaultClientConditions];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: { environment: 'happy-dom', include: ['test/**/*.test.{ts,tsx}'] },
});
