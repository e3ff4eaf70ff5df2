// What a command is given from outside: where to write, where the service keeps its data, and what stops it.

export interface Output {
  write(text: string): unknown;
  /** True for a terminal. */
  isTTY?: boolean;
  /** Width of the terminal. */
  columns?: number;
}

export interface Input extends AsyncIterable<Buffer> {
  /** True for a terminal. */
  isTTY?: boolean;
}

export interface CommandIo {
  stdin: Input;
  stdout: Output;
  stderr: Output;
  /** Data directory of the service, unless --data names another. */
  dataDirectory: string;
  /** Version for --version. */
  version: string;
  /** Aborts when the user wants to stop; the service goes on with what it was asked for. */
  signal: AbortSignal;
}
