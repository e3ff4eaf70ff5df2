// kubectl against one cluster, as a test uses it.
import { execFile } from 'node:child_process';
import { expect } from 'vitest';

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

export class Kubectl {
  readonly #program: string;
  readonly #kubeconfig: string;

  /** @param program path of kubectl */
  constructor(program: string, kubeconfig: string) {
    this.#program = program;
    this.#kubeconfig = kubeconfig;
  }

  answer(args: readonly string[], input?: string): Promise<Answer> {
    return answerOf(this.#program, ['--kubeconfig', this.#kubeconfig, ...args], input);
  }

  /** @returns what it prints; it must succeed without a warning */
  async out(args: readonly string[], input?: string): Promise<string> {
    const { code, out, err } = await this.answer(args, input);
    expect([code, err]).toEqual([0, '']);
    return out;
  }

  /** The object that `kubectl get` with these arguments shows. */
  async get(...args: string[]): Promise<Record<string, unknown>> {
    return JSON.parse(await this.out(['get', ...args, '-o', 'json']));
  }
}
