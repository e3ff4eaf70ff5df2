// DIR/up.json, as far as the benchmark reads it.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface UpState {
  processes: Record<string, { pid: number; addresses: Record<string, string> }>;
}

export async function readUpState(directory: string): Promise<UpState> {
  // Safe: written in one step by the service that the benchmark started.
  return JSON.parse(await readFile(join(directory, 'up.json'), 'utf8')) as UpState;
}
