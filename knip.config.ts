// What `knip` counts as used: the processes, the tools and the tests; everything else must be reached from them.
import type { KnipConfig } from 'knip';

const config: KnipConfig = {
  entry: [
    'main/*.ts',
    'scripts/*.ts',
    'bench/*.ts',
    'test/cluster/cluster.ts',
    'test/promise-storm.ts',
    'test/hostile/changing-name.ts',
    '*/**/*.test.ts',
  ],
  project: ['**/*.ts', '!dist/**'],
  // Types beside the schema or the function that uses them are the contract of that module.
  ignoreExportsUsedInFile: { interface: true, type: true },
};

export default config;
