// Before and after all test files of one run: they share one cluster of their own, which the first file that needs a node brings up.
import type { TestProject } from 'vitest/node';
import { findNode, takeDown } from './single-node.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The process whose end is the end of the run. */
    runPid: number;
  }
}

/** One that did not come up is left with its logs; the next run removes it. */
export function clusterOfRun(runPid: number): string {
  return `run-${runPid}`;
}

export function setup(project: TestProject): void {
  project.provide('runPid', process.pid);
}

export async function teardown(): Promise<void> {
  const name = clusterOfRun(process.pid);
  if ((await findNode(name)) !== undefined) await takeDown(name);
}
