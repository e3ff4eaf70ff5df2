// What a process tells the one that started it: JSON lines on stdout, nothing else. One when it is ready, with its addresses, and one when
// it ends by a fault. A person who starts it by hand reads the same lines.
import { type Static, Type } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { type Fault, faultRecord } from '../domain/fault.ts';

const ProcessReport = Type.Union([
  Type.Object({
    event: Type.Literal('ready'),
    /** host:port by name: api, channel, uploadProxy, upload, metrics. */
    addresses: Type.Record(Type.String(), Type.String()),
  }),
  Type.Object({
    event: Type.Literal('fault'),
    fault: Type.Object({
      code: Type.String(),
      detail: Type.String(),
      retryable: Type.Boolean(),
      nextStep: Type.String(),
    }),
  }),
]);
export type ProcessReport = Static<typeof ProcessReport>;

let compiled: Validator | undefined;

/** @returns undefined for a line that is no report */
export function parseReport(line: string): ProcessReport | undefined {
  if (!line.startsWith('{')) return undefined;
  compiled ??= Compile(ProcessReport);
  try {
    const value: unknown = JSON.parse(line);
    // Safe: checked against the schema that the type comes from.
    return compiled.Check(value) ? (value as ProcessReport) : undefined;
  } catch {
    return undefined; // a line of something else, such as a warning of the runtime
  }
}

export function readyReport(addresses: Readonly<Record<string, string>>): string {
  return `${JSON.stringify({ event: 'ready', addresses })}\n`;
}

export function faultReport(fault: Fault): string {
  return `${JSON.stringify({ event: 'fault', fault: faultRecord(fault) })}\n`;
}
