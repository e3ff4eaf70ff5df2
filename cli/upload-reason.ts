// Why an upload failed: what the upload proxy answered itself; only where it told nothing, such as on a cut connection, what the object tells since.
import { isDeepStrictEqual } from 'node:util';
import type { DataVolume } from '../domain/data-volume.ts';
import { type Fault, toFault } from '../domain/fault.ts';
import { resources } from '../domain/resources.ts';
import { type ApiClient, isOwnAnswer } from './api-client.ts';
import { faultOf } from './follow-volume.ts';
import type { VolumeName } from './volume-name.ts';

/** @param before the volume when its upload began: a fault that stood there then is an older upload's */
export async function uploadReason(
  client: ApiClient,
  name: VolumeName,
  before: DataVolume,
  error: unknown,
): Promise<Fault> {
  const fault = toFault(error);
  if (isOwnAnswer(fault)) return fault;
  const volume = await client.find(resources.dataVolumes, name);
  return volume !== undefined && tellsMore(volume, before) ? faultOf(volume) : fault;
}

function tellsMore({ status }: DataVolume, before: DataVolume): boolean {
  if (status?.phase === 'Failed') return true;
  const told = status?.longshore?.fault;
  return told !== undefined && !isDeepStrictEqual(told, before.status?.longshore?.fault);
}
