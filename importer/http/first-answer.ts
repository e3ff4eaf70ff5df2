// The first answer of a server to the question for its content, and what of it may be relied on.
import { Fault } from '../../domain/fault.ts';
import { firstRequestBytes } from '../image-source.ts';
import { contentRangeOf, ifRangeOf, totalOfUnsatisfied, validatorOf } from './answer-headers.ts';
import type { ContentServer } from './content-server.ts';
import type { HttpAnswer } from './http-answer.ts';
import { faultOfAnswer, placeOf } from './http-faults.ts';

/**
 * Asks for the first bytes. An answer of a range that cannot be relied on is asked again without one.
 * @throws Fault NotADiskImage (empty) and those of a request
 */
export async function firstAnswer(server: ContentServer): Promise<HttpAnswer> {
  const answer = await server.get({ range: `bytes=0-${firstRequestBytes - 1}` });
  if (answer.status === 416 && totalOfUnsatisfied(answer) === 0) {
    answer.body.destroy();
    throw new Fault('NotADiskImage', `${placeOf(answer.url)} is empty`);
  }
  const range = contentRangeOf(answer);
  // Parts of content that cannot be proved to be the same are never joined: such a source is read in one answer.
  const whole = range?.total !== undefined && range.total <= firstRequestBytes;
  const proven = whole || ifRangeOf(validatorOf(answer)) !== undefined;
  const usable = answer.status === 206 && range?.start === 0 && range.total !== undefined && proven;
  if (answer.status === 416 || (answer.status === 206 && !usable)) {
    answer.body.destroy();
    return accept(await server.get({}));
  }
  return accept(answer);
}

/** @throws Fault of the status where it is not the content */
export function accept(answer: HttpAnswer): HttpAnswer {
  const fault = faultOfAnswer(answer);
  if (fault === undefined) return answer;
  answer.body.destroy();
  throw fault;
}
