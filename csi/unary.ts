// Every call of the driver goes through here: the request is parsed, the work has a signal that aborts when the caller gives up or its deadline
// passes, and whatever fails is told as a status. Nothing of a request but its method is logged: it may hold secrets.
import type { handleUnaryCall } from '@grpc/grpc-js';
import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Fault, toFault } from '../domain/fault.ts';
import type { Logger } from '../runtime/logger.ts';
import { metrics } from '../runtime/metrics.ts';
import { statusOf } from './grpc-status.ts';

export interface CallContext {
  logger: Logger;
  /** Aborts when the driver stops. */
  stopping: AbortSignal;
}

export type Unary = handleUnaryCall<unknown, object>;

/** Does what one method asks for. @throws Fault */
export type Action<Request> = (request: Request, signal: AbortSignal) => Promise<object> | object;

/**
 * @param schema of what is read of the request
 * @param act called once a call; whatever it throws becomes the status
 */
export function unary<T extends TSchema>(context: CallContext, schema: T, act: Action<Static<T>>): Unary {
  const validator = Compile(schema);
  return (call, reply) => {
    const given = new AbortController();
    call.on('cancelled', () => given.abort(new Fault('Cancelled', 'the caller gave the call up')));
    const signal = AbortSignal.any([given.signal, context.stopping]);
    const method = call.getPath().slice(call.getPath().lastIndexOf('/') + 1);
    const work = async (): Promise<object> => {
      const { request } = call;
      if (!validator.Check(request)) throw new Fault('MalformedRequest', `${method} was not understood`);
      return await act(request, signal);
    };
    work().then(
      (answer) => {
        metrics.count('longshore_csi_calls_total', { method, code: 'OK' });
        reply(null, answer);
      },
      (error: unknown) => {
        const fault = toFault(error, { signal });
        metrics.count('longshore_csi_calls_total', { method, code: fault.row.grpc });
        context.logger.info({ method, err: fault }, 'a CSI call failed');
        reply(statusOf(fault));
      },
    );
  };
}

/** Refuses a method that this driver does not have, in words. */
export function refused(why: string): Unary {
  return (_call, reply) => reply(statusOf(new Fault('MethodNotAllowed', why)));
}
