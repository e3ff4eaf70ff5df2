// kubectl against one cluster, as a test uses it.
import { expect } from 'vitest';
import { type Answer, answerOf } from './run-program.ts';

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
