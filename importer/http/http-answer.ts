// An answer of a server, whose body comes as it is read.
import type { Dispatcher } from 'undici';

/** Not to be read to its end unless it is the content. A piece may be overwritten once the next one is asked for. */
export interface AnswerBody extends AsyncIterable<Buffer> {
  /** As that of PlainBody. */
  landIn?(memory: Buffer): AsyncIterable<Buffer> | undefined;
  destroy(): void;
}

export interface HttpAnswer {
  status: number;
  headers: Dispatcher.ResponseData['headers'];
  body: AnswerBody;
  /** The URL that answered, after redirects. */
  url: string;
}

/** The text of an answer that is no content: its first 64 KiB. Never fails: what cannot be read says nothing. */
export async function textOf(answer: HttpAnswer): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of answer.body) {
      pieces.push(Buffer.from(piece));
      bytes += piece.byteLength;
      if (bytes > 65_536) break;
    }
  } catch {
    answer.body.destroy();
  }
  return Buffer.concat(pieces).toString('utf8', 0, 65_536);
}
