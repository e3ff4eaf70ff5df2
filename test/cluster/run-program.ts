// A program of the cluster, run to its end.
import { execFile } from 'node:child_process';

export interface Answer {
  code: number;
  out: string;
  err: string;
}

/** Runs a program to its end, with a text as its standard input. */
export function answerOf(program: string, args: readonly string[], input = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { maxBuffer: 2 ** 26 }, (error, out, err) => {
      const code = error === null ? 0 : error.code;
      if (typeof code === 'number') resolve({ code, out, err });
      else reject(error);
    });
    child.stdin?.end(input);
  });
}
