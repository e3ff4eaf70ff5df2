// The life of one process: start, tell that it is ready, wait for a signal, stop within a limit, end with a code of the catalogue.
// What nobody caught is logged once and ends the process, because its state is no longer known.
import { setTimeout as delay } from 'node:timers/promises';
import { Fault, toFault } from '../domain/fault.ts';
import type { Logger } from './logger.ts';
import { faultReport, readyReport } from './process-report.ts';
import { tell } from './tell.ts';

export interface Beginning {
  /** Aborts when the process is asked to stop, also while it still starts, and when it ends by a fault. */
  signal: AbortSignal;
  /** Each part is put here when it is there. What a start that failed has begun, and all at the end, is taken off in the reverse order. */
  undo: AsyncDisposableStack;
}

export interface RunningProcess {
  /** host:port by name, told to who started the process. */
  addresses: Readonly<Record<string, string>>;
  /** Rejects when the process cannot go on. */
  failed?: Promise<never>;
}

export interface ProcessOptions {
  logger: Logger;
  /** Longest time for stopping; afterwards the process ends anyway, with TimedOut where nothing was wrong before. */
  stopLimitMs: number;
  /** Whether the addresses are told as a JSON line on stdout; `up` speaks to a person and does not. */
  report?: boolean;
  /** Tells the fault that ends the process to a person. */
  onFault?: (fault: Fault) => void;
}

/** Runs until a signal (exit code 0) or a fault (its exit code). Never returns before the process is about to end. */
export async function runProcess(
  start: (beginning: Beginning) => Promise<RunningProcess>,
  options: ProcessOptions,
): Promise<void> {
  const ending = watchForEnd();
  try {
    await runAndStop(start, ending, options);
    options.logger.info('stopped');
    process.exit(0);
  } catch (error) {
    if (ending.isReason(error)) process.exit(0); // stopped before it had started
    const fault = toFault(error);
    try {
      if (options.report !== false) tell(1, faultReport(fault));
      options.onFault?.(fault);
      options.logger.fatal({ err: fault }, 'ended by a fault');
    } finally {
      process.exit(fault.row.exit);
    }
  }
}

/** What was started is stopped whatever becomes of the lines that tell it. What stopping fails with is told where nothing failed before. */
async function runAndStop(
  start: (beginning: Beginning) => Promise<RunningProcess>,
  ending: ReturnType<typeof watchForEnd>,
  { logger, report, stopLimitMs }: ProcessOptions,
): Promise<void> {
  const undo = new AsyncDisposableStack();
  try {
    const running = await begin(start, ending, undo, stopLimitMs);
    if (report !== false) tell(1, readyReport(running.addresses));
    logger.info({ addresses: running.addresses }, 'ready');
    await Promise.race([ending.asked, ending.broken, running.failed ?? ending.asked]);
    logger.info('stopping');
  } catch (error) {
    await stop().catch((failure: unknown) => {
      if (ending.isReason(error)) throw failure;
      logger.error({ err: toFault(failure) }, 'stopping failed, too');
    });
    throw error;
  }
  await stop();

  async function stop(): Promise<void> {
    ending.endWork();
    await withLimit(undo.disposeAsync(), stopLimitMs);
  }
}

/**
 * A start that is asked to end, or that something nobody caught has broken, is first given time to end by itself: what it has begun may not be on the
 * stack yet. One that waits for something that never comes does not keep the process from ending.
 */
async function begin(
  start: (beginning: Beginning) => Promise<RunningProcess>,
  ending: ReturnType<typeof watchForEnd>,
  undo: AsyncDisposableStack,
  limitMs: number,
): Promise<RunningProcess> {
  const starting = start({ signal: ending.signal, undo });
  try {
    return await Promise.race([starting, ending.broken, ending.interrupted]);
  } catch (error) {
    ending.endWork();
    const limit = new AbortController();
    const ended = starting.then(
      () => undefined,
      () => undefined, // told already, or a consequence of the end
    );
    await Promise.race([ended, delay(limitMs, undefined, { signal: limit.signal })]);
    limit.abort();
    throw error;
  }
}

function watchForEnd() {
  const controller = new AbortController();
  const asked = Promise.withResolvers<void>();
  const broken = Promise.withResolvers<never>();
  const interrupted = Promise.withResolvers<never>();
  // Told through the races; nobody may be waiting at the moment.
  broken.promise.catch(() => undefined);
  interrupted.promise.catch(() => undefined);
  const reason = new Fault('Interrupted', 'the process was asked to stop');
  const ask = (): void => {
    controller.abort(reason);
    asked.resolve();
    interrupted.reject(reason);
  };
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, ask);
  process.on('uncaughtException', (error) => broken.reject(error));
  process.on('unhandledRejection', (error) => broken.reject(error));
  return {
    signal: controller.signal,
    asked: asked.promise,
    /** Rejects with the reason of the signal when the process is asked to stop. */
    interrupted: interrupted.promise,
    broken: broken.promise,
    isReason: (error: unknown) => error === reason,
    endWork: () => controller.abort(new Fault('Interrupted', 'the process ends')),
  };
}

async function withLimit(work: Promise<void>, limitMs: number): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Fault('TimedOut', `stopping took longer than ${limitMs} ms`)),
    limitMs,
  );
  try {
    await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
