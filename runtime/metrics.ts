// What a process measures. Every metric is a row of the table below; docs/generated/metrics.md is made from it. Rows that a process never
// touches do not appear in its output.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
  readonly buckets?: readonly number[];
}

const seconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200];

const rows = {
  longshore_api_requests_total: {
    type: 'counter',
    labels: ['verb', 'resource', 'status'],
    help: 'Requests that the API answered.',
  },
  longshore_api_request_seconds: {
    type: 'histogram',
    labels: ['verb', 'resource'],
    help: 'Seconds from a request to its answer, watches left out.',
    buckets: seconds,
  },
  longshore_api_watches: { type: 'gauge', labels: ['resource'], help: 'Watches that are open.' },
  longshore_admission_seconds: {
    type: 'histogram',
    labels: ['path'],
    help: 'Seconds that an admission webhook took to answer kube-apiserver.',
    buckets: seconds,
  },
  longshore_kube_requests_total: {
    type: 'counter',
    labels: ['verb', 'status'],
    help: 'Requests to kube-apiserver, on a cluster.',
  },
  longshore_reconciles_total: {
    type: 'counter',
    labels: ['kind', 'outcome'],
    help: 'Rounds of the controller: ok, retry or error.',
  },
  longshore_reconcile_seconds: {
    type: 'histogram',
    labels: ['kind'],
    help: 'Seconds of one round of the controller.',
    buckets: seconds,
  },
  kubevirt_cdi_dataimportcron_outdated: {
    type: 'gauge',
    labels: ['namespace', 'cron_name', 'pending'],
    help: '1 while the last import of the DataImportCron is not known to be the newest; pending where it waits for a storage class. By CDI’s name.',
  },
  longshore_channel_connected: {
    type: 'gauge',
    labels: ['node'],
    help: '1 while the channel between the controller and the worker of the node is up.',
  },
  longshore_attempts_running: {
    type: 'gauge',
    labels: ['operation'],
    help: 'Attempts that run in this worker: import, upload, convert, clone.',
  },
  longshore_attempts_total: {
    type: 'counter',
    labels: ['operation', 'outcome', 'code'],
    help: 'Attempts that ended: ok, failed or cancelled, with the fault code.',
  },
  longshore_attempt_seconds: {
    type: 'histogram',
    labels: ['operation'],
    help: 'Seconds of an attempt.',
    buckets: seconds,
  },
  longshore_transfer_bytes_total: {
    type: 'counter',
    labels: ['operation'],
    help: 'Bytes read from sources, clients and source volumes.',
  },
  longshore_upload_requests_total: {
    type: 'counter',
    labels: ['path', 'status', 'code'],
    help: 'Requests that the upload proxy answered, with the fault code where there was one.',
  },
  longshore_upload_bytes_total: { type: 'counter', labels: [], help: 'Bytes that the upload proxy passed on.' },
  longshore_uploads_running: { type: 'gauge', labels: [], help: 'Uploads that pass through the proxy now.' },
  longshore_csi_calls_total: {
    type: 'counter',
    labels: ['method', 'code'],
    help: 'Calls that the CSI driver answered, with the gRPC code.',
  },
  longshore_pool_bytes: {
    type: 'gauge',
    labels: ['pool', 'kind'],
    help: 'Bytes of the pool: capacity, reserved, used, free.',
  },
  longshore_volume_bytes: {
    type: 'gauge',
    labels: ['pool', 'namespace', 'claim', 'kind'],
    help: 'Bytes of one volume: reserved, which is its size, and allocated by its files.',
  },
  longshore_pool_oversold_ratio: {
    type: 'gauge',
    labels: ['pool'],
    help: 'Reserved bytes of the pool by its capacity: more than 1 is more than there is.',
  },
  longshore_pool_usable: {
    type: 'gauge',
    labels: ['pool'],
    help: '0 while nothing is changed in the pool: its directory is missing, empty or another one, or a newer version wrote it.',
  },
  longshore_pool_enforcement: {
    type: 'gauge',
    labels: ['pool', 'enforcement'],
    help: '1 for how the pool holds a volume to its size.',
  },
  longshore_child_restarts_total: {
    type: 'counter',
    labels: ['child', 'reason'],
    help: 'Processes that the supervisor started again: died or hung.',
  },
  longshore_log_lines_dropped_total: {
    type: 'counter',
    labels: [],
    help: 'Lines of the log that could not be written: the disk is full, or nobody reads it.',
  },
  longshore_event_loop_delay_p99_seconds: {
    type: 'gauge',
    labels: [],
    help: '99th percentile of the delay of the event loop since /metrics was read last.',
  },
  process_resident_memory_bytes: { type: 'gauge', labels: [], help: 'Resident memory of the process.' },
  process_cpu_seconds_total: { type: 'gauge', labels: [], help: 'CPU seconds that the process used.' },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof rows;
type LabelsOf<N extends MetricName> = Record<(typeof rows)[N]['labels'][number], string>;
type NamesOf<T extends MetricRow['type']> = {
  [N in MetricName]: (typeof rows)[N]['type'] extends T ? N : never;
}[MetricName];

/** The table, for the documentation. */
export const metricDefinitions: readonly ({ readonly name: string } & MetricRow)[] = Object.entries(rows).map(
  ([name, row]) => ({ name, ...row }),
);

/** The metrics of this process. Nothing is registered before it is used. */
class Metrics {
  readonly #registry = new Registry();
  readonly #made = new Map<MetricName, Counter | Gauge | Histogram>();

  /** Adds to a counter. */
  count<N extends NamesOf<'counter'>>(name: N, labels: LabelsOf<N>, by = 1): void {
    const metric = this.#metric(name);
    if (metric instanceof Counter) metric.inc(labels, by);
  }

  /** Sets a gauge. */
  set<N extends NamesOf<'gauge'>>(name: N, labels: LabelsOf<N>, value: number): void {
    const metric = this.#metric(name);
    if (metric instanceof Gauge) metric.set(labels, value);
  }

  /** Takes back what was said of something that is no more. */
  remove<N extends NamesOf<'gauge'>>(name: N, labels: LabelsOf<N>): void {
    const metric = this.#metric(name);
    if (metric instanceof Gauge) metric.remove(labels);
  }

  /** Moves a gauge up (or, with a negative number, down). */
  add<N extends NamesOf<'gauge'>>(name: N, labels: LabelsOf<N>, by: number): void {
    const metric = this.#metric(name);
    if (metric instanceof Gauge) metric.inc(labels, by);
  }

  /** Adds one observation, in seconds, to a histogram. */
  observe<N extends NamesOf<'histogram'>>(name: N, labels: LabelsOf<N>, value: number): void {
    const metric = this.#metric(name);
    if (metric instanceof Histogram) metric.observe(labels, value);
  }

  /** Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #metric(name: MetricName): Counter | Gauge | Histogram {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const row: MetricRow = rows[name];
    const options = { name, help: row.help, labelNames: [...row.labels], registers: [this.#registry] };
    const made =
      row.type === 'counter'
        ? new Counter(options)
        : row.type === 'gauge'
          ? new Gauge(options)
          : new Histogram({ ...options, buckets: [...(row.buckets ?? seconds)] });
    this.#made.set(name, made);
    return made;
  }
}

export const metrics = new Metrics();

/**
 * Measures the process itself from now on.
 * @param delayResolutionMs how often the delay of the event loop is looked at
 * @returns a function that takes the values of this moment into `metrics`
 */
export function watchProcess(delayResolutionMs: number): { take(): void; stop(): void } {
  const delay = monitorEventLoopDelay({ resolution: delayResolutionMs });
  delay.enable();
  return {
    take: () => {
      // The histogram holds the distance between two ticks of its timer, so its own period is taken off.
      const p99 = Math.max(0, delay.percentile(99) / 1e9 - delayResolutionMs / 1e3);
      delay.reset();
      const { user, system } = process.cpuUsage();
      metrics.set('longshore_event_loop_delay_p99_seconds', {}, p99);
      metrics.set('process_resident_memory_bytes', {}, process.memoryUsage.rss());
      metrics.set('process_cpu_seconds_total', {}, (user + system) / 1e6);
    },
    stop: () => {
      delay.disable();
    },
  };
}
