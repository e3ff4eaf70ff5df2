// Follows a DataVolume by watch until something is reached, and tells on the way how far it is, which attempts failed and what it waits for.
import { setTimeout as delay } from 'node:timers/promises';
import type { DataVolume } from '../domain/data-volume.ts';
import { Fault, faultFromRecord, toFault } from '../domain/fault.ts';
import { resources } from '../domain/resources.ts';
import type { ApiClient } from './api-client.ts';
import { AttemptNotes } from './attempt-notes.ts';
import type { ProgressDisplay, ProgressView } from './progress-display.ts';
import { showName, type VolumeName } from './volume-name.ts';

const reconnectMs = 500;
/** How long a service that is being restarted is waited for. */
const patienceMs = 60_000;

export interface Following {
  client: ApiClient;
  display: ProgressDisplay;
  signal: AbortSignal;
}

/**
 * @param isReached looked at for every state of the object
 * @returns the object as it was when it was reached
 * @throws the fault of the object where its phase is Failed; NotFound where it was deleted meanwhile; ServiceUnreachable
 */
export async function followVolume(
  name: VolumeName,
  isReached: (volume: DataVolume) => boolean,
  { client, display, signal }: Following,
): Promise<DataVolume> {
  const seen = new AttemptNotes(display, showName(name));
  let lastAnswer = performance.now();
  let told = false;
  for (;;) {
    try {
      for await (const line of client.watch(resources.dataVolumes, name)) {
        lastAnswer = performance.now();
        told = false;
        if (line.type === 'BOOKMARK') continue;
        if (line.type === 'ERROR') break;
        if (line.type === 'DELETED') throw new Fault('NotFound', `${showName(name)} was deleted meanwhile`);
        seen.look(line.object);
        if (isReached(line.object)) return line.object;
        if (line.object.status?.phase === 'Failed') throw faultOf(line.object);
        display.update(viewOf(name, line.object));
      }
    } catch (error) {
      const passes = error instanceof Error && !(error instanceof Fault && error.code !== 'ServiceUnreachable');
      if (signal.aborted || !passes || performance.now() - lastAnswer > patienceMs) throw error;
      if (!told && error instanceof Fault) {
        told = true;
        display.note(`${showName(name)}: waits: ${error.code}: ${error.detail}`);
      }
      await findServiceAgain(client);
    }
    await delay(reconnectMs, undefined, { signal });
  }
}

async function findServiceAgain(client: ApiClient): Promise<void> {
  try {
    await client.readAccessAgain();
  } catch (error) {
    if (toFault(error).code !== 'ServiceUnreachable') throw error; // else it has not written where it is yet
  }
}

/** The fault that the object tells of. */
export function faultOf(volume: DataVolume): Fault {
  const fault = volume.status?.longshore?.fault;
  if (fault !== undefined) return faultFromRecord(fault);
  const running = volume.status?.conditions?.find(({ type }) => type === 'Running');
  return new Fault('Internal', running?.message ?? 'the volume is Failed and does not say why');
}

function viewOf(name: VolumeName, volume: DataVolume): ProgressView {
  const { phase = 'Pending', progress, longshore = {} } = volume.status ?? {};
  const percent = Number.parseFloat(progress ?? '');
  return {
    label: showName(name),
    word: longshore.step ?? phase,
    ...(longshore.bytesDone === undefined ? {} : { bytesDone: longshore.bytesDone }),
    ...(longshore.bytesTotal === undefined ? {} : { bytesTotal: longshore.bytesTotal }),
    ...(longshore.bytesPerSecond === undefined ? {} : { bytesPerSecond: longshore.bytesPerSecond }),
    ...(longshore.etaSeconds === undefined ? {} : { etaSeconds: longshore.etaSeconds }),
    ...(Number.isNaN(percent) ? {} : { percent }),
  };
}
