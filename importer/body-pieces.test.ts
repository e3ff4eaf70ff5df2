// The body of an upload gathered into pieces: none of it is lost or mixed up, its sender is held back, and every wait has an end.
import { randomBytes } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { Fault } from '../domain/fault.ts';
import { BodyPieces } from './body-pieces.ts';

const mebibyte = 1_048_576;
const recordBytes = 16_384 - 33;
const never = new AbortController().signal;
const waiting = { timeout: 5_000, interval: 2 };

function piecesOf(body: Readable, more: { declaredBytes?: number; signal?: AbortSignal } = {}) {
  const told: number[] = [];
  const { declaredBytes, signal = never } = more;
  return { told, pieces: new BodyPieces(body, { declaredBytes, signal, onBytes: (bytes) => told.push(bytes) }) };
}

/** As TLS brings it. */
function* recordsOf(content: Buffer): Generator<Buffer> {
  for (let at = 0; at < content.byteLength; at += recordBytes) yield content.subarray(at, at + recordBytes);
}

async function copiesOf(pieces: BodyPieces): Promise<Buffer[]> {
  const copies: Buffer[] = [];
  for await (const piece of pieces) copies.push(Buffer.from(piece));
  return copies;
}

describe('the body of an upload', () => {
  test.each([0, 1, mebibyte - 1, mebibyte, 3 * mebibyte + 5])(
    'of %i bytes comes whole, in full pieces',
    async (bytes) => {
      const content = randomBytes(bytes);
      const { pieces, told } = piecesOf(Readable.from(recordsOf(content), { objectMode: false }), {
        declaredBytes: bytes,
      });
      const copies = await copiesOf(pieces);
      expect(Buffer.concat(copies).equals(content)).toBe(true);
      expect(copies.map((piece) => piece.byteLength).filter((length) => length < mebibyte).length).toBeLessThanOrEqual(
        1,
      );
      expect(told.at(-1) ?? 0).toBe(bytes);
    },
  );

  test('comes in pieces of any size where its sender is slow', async () => {
    const body = new PassThrough();
    const { pieces } = piecesOf(body);
    body.write('first');
    expect((await pieces.next()).value?.toString()).toBe('first');
    body.end('last');
    expect((await pieces.next()).value?.toString()).toBe('last');
    expect(await pieces.next()).toEqual({ done: true, value: undefined });
  });

  test('stands still while no piece is asked for', async () => {
    const content = randomBytes(4 * mebibyte);
    const records = recordsOf(content);
    let sentBytes = 0;
    const read = function (this: Readable): void {
      const record: Buffer | undefined = records.next().value ?? undefined;
      sentBytes += record?.byteLength ?? 0;
      this.push(record ?? null);
    };
    const { pieces } = piecesOf(new Readable({ read }));
    const first = Buffer.from((await pieces.next()).value ?? '');
    for (let turn = 0; turn < 1_000; turn += 1) await nextTurn();
    expect(sentBytes).toBeLessThan(2 * mebibyte);
    const rest = await copiesOf(pieces);
    expect(Buffer.concat([first, ...rest]).equals(content)).toBe(true);
  });

  test('that ends early, breaks off or was destroyed before is UploadInterrupted', async () => {
    const interrupted = { code: 'UploadInterrupted', message: expect.stringContaining('after 4 of 9 bytes') };
    const early = Readable.from([Buffer.from('half')], { objectMode: false });
    await expect(copiesOf(piecesOf(early, { declaredBytes: 9 }).pieces)).rejects.toMatchObject(interrupted);
    const broken = new PassThrough();
    const { pieces } = piecesOf(broken, { declaredBytes: 9 });
    broken.write('half');
    expect((await pieces.next()).value?.toString()).toBe('half');
    const next = pieces.next();
    broken.destroy(Object.assign(new Error('aborted'), { code: 'ECONNRESET' }));
    await expect(next).rejects.toMatchObject(interrupted);
    const gone = new PassThrough().destroy();
    await expect(piecesOf(gone).pieces.next()).rejects.toMatchObject({ code: 'UploadInterrupted' });
  });

  test('that is longer than declared is SourceTooLong', async () => {
    const body = Readable.from([Buffer.from('four')], { objectMode: false });
    await expect(copiesOf(piecesOf(body, { declaredBytes: 3 }).pieces)).rejects.toMatchObject({
      code: 'SourceTooLong',
    });
  });

  test('is let go at once by an abort, which is told, and by who wants no more of it', async () => {
    const body = new PassThrough();
    const abort = new AbortController();
    const { pieces } = piecesOf(body, { signal: abort.signal });
    const aborted = pieces.next();
    abort.abort(new Fault('Cancelled', 'enough'));
    await expect(aborted).rejects.toMatchObject({ code: 'Cancelled' });
    const { pieces: others } = piecesOf(body);
    const waited = others.next();
    await others.return();
    expect(await waited).toEqual({ done: true, value: undefined });
    expect(body.destroyed).toBe(false);
    expect(body.listenerCount('data')).toBe(0);
    body.end('the rest');
    const rest: string[] = [];
    body.on('data', (bytes: Buffer) => rest.push(bytes.toString())).resume();
    await vi.waitFor(() => expect(rest).toEqual(['the rest']), waiting);
  });
});
