// The one translator from a fault to a gRPC status. Kubernetes shows the text in the events of claims and pods, so it says what to do next.
import { type StatusObject, status } from '@grpc/grpc-js';
import type { Fault } from '../domain/fault.ts';

const codes: Readonly<Record<string, string | number>> = status;

/** Statuses travel in headers, which have a limit. */
const longestDetail = 1024;

/** The code by the fault's row of the catalogue; INTERNAL where the row names none of gRPC's. */
export function statusOf(fault: Fault): Pick<StatusObject, 'code' | 'details'> {
  const { grpc, sentence, nextStep } = fault.row;
  const code = codes[grpc];
  const detail = fault.detail.slice(0, longestDetail).replace(/\.$/, '');
  return {
    code: typeof code === 'number' ? code : status.INTERNAL,
    details: `${sentence.replace(/\.$/, '')}: ${detail}. ${nextStep}`,
  };
}
