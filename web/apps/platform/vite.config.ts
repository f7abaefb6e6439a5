import babel from '@rolldown/plugin-babel';
import react, { reactCompilerPreset } from '@vitejs/plugin-react';
import { defaultClientConditions, defineConfig, mergeConfig } from 'vite';

/** All but the compiler: measured is also how the pages were before it. */
export const shared = defineConfig({
  plugins: [react()],
  // Sources of the workspace's packages, not what they publish.
  resolve: { conditions: ['@unstale/source', ...defaultClientConditions] },
  build: {
    target: ['chrome123', 'firefox124', 'safari17.4'],
    // The server embeds this folder; everything under /assets/ is hashed and cached for good.
    assetsDir: 'assets',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
    rolldownOptions: {
      output: {
        // Shared modules of a few hundred bytes would each cost a request of their own.
        codeSplitting: { minSize: 20_000, groups: [{ name: 'shared', minShareCount: 2 }] },
      },
    },
  },
  server: {
    proxy: { '/api': { target: 'http://127.0.0.1:8080', ws: true }, '/ofrep': 'http://127.0.0.1:8080' },
  },
});

// Closures and elements of which nothing changed stay the very same, so that what they belong to is not rendered again.
export default mergeConfig(shared, defineConfig({ plugins: [babel({ presets: [reactCompilerPreset()] })] }));
