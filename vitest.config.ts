// Two projects: unit tests beside the source, and what crosses folders in test/. Kill tests, the cluster and the image have commands of their own.
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// Files share their process, and with it what is loaded; leave-nothing-behind.ts begins anew for each of them.
const common = {
  isolate: false,
  testTimeout: 60_000,
  hookTimeout: 60_000,
  environment: 'node' as const,
  pool: 'forks' as const,
  // Tests start some hundred processes of the service: what the first one compiled is there for the others.
  env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/node') },
};
const setupFiles = ['test/leave-nothing-behind.ts'];

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: ['*/**/*.test.ts'],
          exclude: ['node_modules/**', 'dist/**', 'test/**'],
          setupFiles,
        },
      },
      {
        test: {
          ...common,
          name: 'whole',
          include: ['test/**/*.test.ts'],
          exclude: ['test/kill/**', 'test/cluster/**', 'test/image/**'],
          setupFiles,
        },
      },
      { test: { ...common, name: 'kill', include: ['test/kill/**/*.test.ts'], testTimeout: 1_200_000 } },
      // It builds the image where build/ has none of this commit.
      { test: { ...common, name: 'image', include: ['test/image/**/*.test.ts'], hookTimeout: 3_600_000 } },
      {
        test: {
          ...common,
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          globalSetup: 'test/cluster/run-setup.ts',
          // The first run compiles Kubernetes; files share one cluster (run-setup.ts), so one at a time.
          hookTimeout: 7_200_000,
          testTimeout: 600_000,
          fileParallelism: false,
          // One worker, so it cannot run beside the others where a word names files of both.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
