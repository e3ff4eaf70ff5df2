// One request of kubectl's, and what matters in the answer.

export interface Recorded {
  readonly command: string;
  readonly method: string;
  readonly path: string;
  readonly accept: string;
  readonly contentType?: string;
  /** Text as sent; protobuf in base64. */
  readonly body?: string;
  readonly status: number;
  /** Members that the answer must have. */
  readonly expects: object;
}
