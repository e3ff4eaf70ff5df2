// What is asked of a server over HTTP, whatever it takes to be let in; each kind of source with rights of its own gives this.
import type { HttpAnswer } from './http-answer.ts';

/** One content on a server, whatever it takes to be let in. A status is an answer, not an error. */
export interface ContentServer {
  get(headers: Record<string, string>): Promise<HttpAnswer>;
  /** As `get`, for a range of what `get` has found. */
  getRange(headers: Record<string, string>): Promise<HttpAnswer>;
  /** True once the server sent bytes after the end that it had declared. */
  readonly sentTooMuch: boolean;
  close(): Promise<void>;
}

export interface ContentPlace {
  /** By which it is named to people. */
  url: string;
  /** No part is asked for: the content is read as one answer. For a server that does not say twice of the same content that it is the same. */
  onePass?: boolean;
}
