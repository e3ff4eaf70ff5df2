// What a process may act by only while it holds it: on a cluster the lease of the controller that leads. Whoever was stopped for a while goes on with what
// it was about to do, long before it hears that another leads; so it is asked at the last moment before each act.

export interface Licence {
  /** Aborts when it is lost: what has not been sent by then is not sent. */
  readonly signal: AbortSignal;
  /** @throws Fault Interrupted where it is not held at this moment */
  assertHeld(): void;
}
