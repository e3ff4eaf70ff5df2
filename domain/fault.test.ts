import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { Fault, faultFromRecord, faultRecord, isFaultCode, toFault } from './fault.ts';

function withErrno(code: string): Error {
  return Object.assign(new Error(`it failed with ${code}`), { code });
}

describe('a fault', () => {
  test('knows its row', () => {
    const fault = new Fault('SourceNotFound', 'http://x/ answered 404', { facts: { status: 404 } });
    expect(fault.message).toBe('SourceNotFound: http://x/ answered 404');
    expect([fault.retryable, fault.row.http, fault.facts]).toEqual([false, 404, { status: 404 }]);
  });

  test('survives its journey as a record', () => {
    const record = faultRecord(new Fault('NoSpace', 'pool default'));
    expect(record).toEqual({
      code: 'NoSpace',
      detail: 'pool default',
      retryable: true,
      nextStep: 'Free room on the pool; it is tried again by itself.',
    });
    expect(faultFromRecord(record)).toMatchObject({ code: 'NoSpace', detail: 'pool default' });
  });

  test('of a code that this version does not know is Internal, and names it', () => {
    expect(faultFromRecord({ code: 'FromTheFuture', detail: 'x' })).toMatchObject({
      code: 'Internal',
      detail: 'FromTheFuture: x',
    });
    expect(isFaultCode('toString')).toBe(false);
  });
});

describe('any thrown value', () => {
  test.each([
    ['ENOSPC', 'NoSpace'],
    ['EDQUOT', 'NoSpace'],
    ['EFBIG', 'VolumeTooLarge'],
    ['EACCES', 'PermissionDenied'],
    ['EROFS', 'PermissionDenied'],
    ['EADDRINUSE', 'AddressInUse'],
    ['ENOMEM', 'OutOfMemory'],
    ['EWHATEVER', 'Internal'],
  ])('with errno %s is %s', (errno, code) => {
    expect(toFault(withErrno(errno)).code).toBe(code);
  });

  test('is what the caller says where nothing is recognised', () => {
    expect(toFault('text', { otherwise: 'SourceUnreachable' })).toMatchObject({
      code: 'SourceUnreachable',
      detail: 'text',
    });
    expect(toFault(withErrno('ENOSPC'), { otherwise: 'SourceUnreachable' }).code).toBe('NoSpace');
  });

  test('stays the fault it is', () => {
    const fault = new Fault('CorruptImage', 'x');
    expect(toFault(fault, { otherwise: 'Internal' })).toBe(fault);
  });

  test('after an abort is the reason of the abort, whatever was thrown', async () => {
    const reason = new Fault('StaleAttempt', 'attempt 2 took over');
    const signal = AbortSignal.abort(reason);
    const thrown = await readFile('/', { signal }).catch((error: unknown) => error);
    expect(toFault(thrown, { signal })).toBe(reason);
    expect(toFault(new Fault('NoSpace', ''), { signal })).toBe(reason);
    expect(toFault(withErrno('ECONNRESET'), { signal: AbortSignal.abort() }).code).toBe('Cancelled');
  });

  test('tells of several addresses why each could not be reached', () => {
    const why = ['connect ECONNREFUSED 10.0.0.1:1', 'connect ECONNREFUSED 10.0.0.2:1'];
    const error = new AggregateError(why.map((message) => new Error(message)));
    expect(toFault(error, { otherwise: 'ServiceUnreachable' }).detail).toBe(why.join('; '));
  });

  test('keeps its cause', () => {
    const error = withErrno('ENOSPC');
    expect(toFault(error).cause).toBe(error);
  });
});
