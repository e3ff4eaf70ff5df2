// Whether the answer to a request for a range is that range of the content that was begun.
import { Fault } from '../../domain/fault.ts';
import { agree, contentRangeOf, type Validator, validatorOf } from './answer-headers.ts';
import type { HttpAnswer } from './http-answer.ts';
import { faultOfAnswer, placeOf } from './http-faults.ts';

export interface BegunContent {
  url: string;
  totalBytes: number | undefined;
  validator: Validator;
}

/** @param start first byte that was asked for. @returns undefined where it is that range */
export function faultOfRange(answer: HttpAnswer, start: number, begun: BegunContent): Fault | undefined {
  const place = placeOf(begun.url);
  const { totalBytes = 0 } = begun;
  if (answer.status === 416)
    return new Fault('SourceTruncated', `${place} no longer has byte ${start} of ${totalBytes}`);
  if (answer.status === 200) return new Fault('SourceChanged', `${place} no longer serves what was begun`);
  const range = contentRangeOf(answer);
  if (answer.status === 206 && range?.start !== start) {
    return new Fault('SourceRefused', `${place} answers with another range than was asked`);
  }
  if (answer.status === 206 && range?.total !== undefined && range.total !== begun.totalBytes) {
    return new Fault('SourceChanged', `${place} had ${totalBytes} bytes and now has ${range.total}`);
  }
  if (answer.status === 206 && !agree(begun.validator, validatorOf(answer))) {
    return new Fault('SourceChanged', `${place} changed while it was read`);
  }
  return faultOfAnswer(answer);
}
