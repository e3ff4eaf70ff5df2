// Every way a request, a job or a process can fail, one row each. Boundaries read the table (HTTP reply, retry policy,
// condition on the object, exit code of the command); nobody else writes a status number. docs/generated/errors.md is made from it.

/** What a boundary needs to know about one kind of failure. */
export interface FaultRow {
  /** HTTP status of a reply on our own paths (RFC 9457 problem+json) and `code` of a Kubernetes Status. */
  readonly http: number;
  /** gRPC status name, for the CSI driver. */
  readonly grpc: string;
  /** True where the same request may succeed later without anybody changing it. */
  readonly retryable: boolean;
  /** Exit code of the `longshore` command. */
  readonly exit: number;
  /** One sentence for a person: what happened. */
  readonly sentence: string;
  /** One sentence for a person: what to do next. */
  readonly nextStep: string;
}

/** Exit codes of the `longshore` command; 0 is success. */
export const exitCodes = {
  internal: { code: 1, meaning: 'something unexpected failed' },
  usage: { code: 2, meaning: 'the command, the request or a setting is wrong' },
  missing: { code: 3, meaning: 'what was named does not exist' },
  denied: { code: 4, meaning: 'credentials or rights are missing' },
  state: { code: 5, meaning: 'the object or volume is not in a state that allows it' },
  source: { code: 6, meaning: 'the source of the image cannot be read' },
  image: { code: 7, meaning: 'the image itself is the problem' },
  space: { code: 8, meaning: 'there is not enough room' },
  machine: { code: 9, meaning: 'the machine or a service on it is the problem' },
  stopped: { code: 10, meaning: 'it was cancelled, interrupted or took too long' },
} as const;

type Group = keyof typeof exitCodes;

function row(
  group: Group,
  http: number,
  grpc: string,
  retryable: boolean,
  sentence: string,
  nextStep: string,
): FaultRow {
  return { http, grpc, retryable, exit: exitCodes[group].code, sentence, nextStep };
}

// biome-ignore format: one row a line
export const faultCatalogue = {
  // The request itself
  InvalidRequest: row('usage', 422, 'INVALID_ARGUMENT', false, 'The request is not valid.', 'Correct the field named in the detail and send it again.'),
  MalformedRequest: row('usage', 400, 'INVALID_ARGUMENT', false, 'The request cannot be read.', 'Send well-formed JSON of the documented shape.'),
  InvalidSetting: row('usage', 500, 'FAILED_PRECONDITION', false, 'A setting has a value that cannot be used.', 'Correct the setting named in the detail; docs/generated/settings.md lists them all.'),
  NotFound: row('missing', 404, 'NOT_FOUND', false, 'There is no such object.', 'Check how it is called: `longshore get` lists volumes with their namespaces, `longshore user list` users.'),
  AlreadyExists: row('state', 409, 'ALREADY_EXISTS', false, 'An object of that name exists already.', 'Choose another name, or delete the existing object first.'),
  Conflict: row('state', 409, 'ABORTED', true, 'The object was changed by somebody else in between.', 'Read the object again and repeat the change.'),
  Gone: row('state', 410, 'OUT_OF_RANGE', false, 'The resource version that was asked for is no longer kept.', 'List again and watch from the new resource version.'),
  Unauthenticated: row('denied', 401, 'UNAUTHENTICATED', false, 'The request carries no valid credentials.', 'Use the kubeconfig that `longshore kubeconfig` prints, or ask an administrator for a user.'),
  Forbidden: row('denied', 403, 'PERMISSION_DENIED', false, 'The user may not do this.', 'Ask an administrator for a role that allows it; `kubectl auth can-i` shows what you may do.'),
  CloneForbidden: row('denied', 422, 'PERMISSION_DENIED', false, 'The user may not clone from that namespace.', 'Ask for the right to create datavolumes/source in the source namespace.'),
  MethodNotAllowed: row('usage', 405, 'UNIMPLEMENTED', false, 'The resource does not take that method.', 'See the API discovery for the verbs of the resource.'),
  UnsupportedMediaType: row('usage', 415, 'INVALID_ARGUMENT', false, 'The body has a media type that is not taken here.', 'Send application/json, or one of the patch types for PATCH.'),
  NotAcceptable: row('usage', 406, 'INVALID_ARGUMENT', false, 'No media type that is accepted can be served here.', 'Accept application/json.'),
  TooLarge: row('usage', 413, 'RESOURCE_EXHAUSTED', false, 'The request or the object is larger than allowed.', 'Send a smaller object; disk images go to the upload proxy.'),

  // Upload tokens and uploads
  TokenMissing: row('denied', 400, 'UNAUTHENTICATED', false, 'The upload carries no bearer token.', 'Ask for a token (`longshore token NS/NAME`) and send it as `Authorization: Bearer`.'),
  TokenInvalid: row('denied', 401, 'UNAUTHENTICATED', false, 'The upload token is not valid.', 'Ask for a new token; it must come from this service and name this claim.'),
  TokenExpired: row('denied', 401, 'UNAUTHENTICATED', false, 'The upload token has expired.', 'Ask for a new token and send the upload again.'),
  TokenForeign: row('denied', 403, 'PERMISSION_DENIED', false, 'The upload token belongs to another volume.', 'Ask for a token for this claim.'),
  NotAnUploadTarget: row('state', 503, 'FAILED_PRECONDITION', false, 'The claim is not waiting for an upload.', 'Create a DataVolume with `source: {upload: {}}` and upload to that.'),
  UploadFinished: row('state', 503, 'FAILED_PRECONDITION', false, 'The claim has already been uploaded.', 'Create another DataVolume for another image.'),
  UploadNotReady: row('state', 503, 'UNAVAILABLE', true, 'The claim is not ready for its upload yet.', 'Wait until the DataVolume is in phase UploadReady and try again.'),
  UploadBusy: row('state', 503, 'UNAVAILABLE', true, 'Another upload into this claim is running.', 'Wait for it to end, or cancel it.'),
  UploadUnreachable: row('machine', 502, 'UNAVAILABLE', true, 'The worker that owns the volume cannot be reached.', 'Check that the worker runs (`longshore doctor`) and try again.'),
  UploadInterrupted: row('stopped', 400, 'ABORTED', true, 'The client ended the upload before all bytes had come.', 'Send the upload again; the claim still waits for it.'),

  // Sources
  SourceNotFound: row('source', 404, 'NOT_FOUND', false, 'The source does not exist (404).', 'Check the URL; try it with curl.'),
  SourceUnauthorized: row('source', 401, 'UNAUTHENTICATED', false, 'The source refuses the credentials (401).', 'Check user and password in the secret that secretRef names.'),
  SourceForbidden: row('source', 403, 'PERMISSION_DENIED', false, 'The source forbids access (403).', 'Check the rights of the account at the source.'),
  SourceRefused: row('source', 422, 'FAILED_PRECONDITION', false, 'The source answered with a status that will not change.', 'Check the URL and its headers; try it with curl.'),
  SourceUnavailable: row('source', 503, 'UNAVAILABLE', true, 'The source cannot serve at the moment (5xx or 429).', 'It is tried again by itself; check the server if it stays so.'),
  SourceUnreachable: row('source', 503, 'UNAVAILABLE', true, 'No connection to the source can be made.', 'It is tried again by itself; check host, port and network.'),
  SourceAddressRefused: row('source', 403, 'PERMISSION_DENIED', false, 'The source lies at an address that users may not read from.', 'Use a source elsewhere; whoever runs the service can allow the network in LONGSHORE_SOURCE_ALLOW.'),
  SourceNameUnknown: row('source', 503, 'UNAVAILABLE', true, 'The host name of the source is not known.', 'It is tried again by itself; check the host name in the URL and the DNS of this machine.'),
  SourceUntrusted: row('source', 422, 'FAILED_PRECONDITION', false, 'The certificate of the source is not trusted.', 'Put the CA into a config map and name it in certConfigMap.'),
  SourceInterrupted: row('source', 503, 'UNAVAILABLE', true, 'The source ended the connection before all bytes had come.', 'It is tried again by itself, from where it stopped if the source allows it.'),
  SourceStalled: row('source', 504, 'DEADLINE_EXCEEDED', true, 'The source sent nothing for too long.', 'It is tried again by itself; check the server and the network between.'),
  SourceChanged: row('source', 409, 'ABORTED', true, 'The source changed while it was read.', 'It starts over by itself; use a source that stays as it is.'),
  SourceTooLong: row('source', 422, 'DATA_LOSS', false, 'The source sent more bytes than it declared.', 'Repair the server; its Content-Length is wrong.'),
  SourceTruncated: row('source', 422, 'DATA_LOSS', false, 'The source is shorter than it should be.', 'Repair the file at the source and import again.'),
  UnsupportedSource: row('source', 501, 'UNIMPLEMENTED', false, 'This kind of source is not supported.', 'Serve the image over HTTP and import it from there.'),
  SecretMissing: row('source', 503, 'FAILED_PRECONDITION', true, 'A secret or config map that the source names does not exist.', 'Create it; the import then goes on by itself.'),
  RedirectRefused: row('source', 422, 'FAILED_PRECONDITION', false, 'The source redirects too often or to a place that is not allowed.', 'Use the URL that the redirects lead to.'),

  // Images
  NotADiskImage: row('image', 422, 'INVALID_ARGUMENT', false, 'This is not a disk image.', 'Give the file or the URL of the image itself, not of a page or a text about it.'),
  NotAnArchive: row('image', 422, 'INVALID_ARGUMENT', false, 'This is not an archive that can be unpacked.', 'Give a tar, plain or packed with gz, xz, zst or bz2; leave contentType out for a disk image.'),
  CorruptArchive: row('image', 422, 'DATA_LOSS', false, 'The archive is damaged.', 'Check it with `tar -t` and make it again.'),
  HostileArchive: row('image', 422, 'INVALID_ARGUMENT', false, 'The archive holds something that is not unpacked here.', 'Make it again without what the detail names: names and links stay inside, and there are no devices.'),
  NotAContainerDisk: row('image', 422, 'INVALID_ARGUMENT', false, 'The container image holds no disk that can be taken.', 'Build it with exactly one disk image under /disk; docs/guide-registry.md shows how.'),
  ArchitectureMissing: row('image', 422, 'INVALID_ARGUMENT', false, 'There is no container image of that architecture.', 'Name one of those that the detail lists in platform.architecture.'),
  UnsupportedFormat: row('image', 422, 'UNIMPLEMENTED', false, 'The format of the image is not supported.', 'Convert it to raw or qcow2 (`qemu-img convert`) and try again.'),
  CorruptImage: row('image', 422, 'DATA_LOSS', false, 'The image is damaged.', 'Check it with `qemu-img check` and export it again.'),
  HostileImage: row('image', 422, 'INVALID_ARGUMENT', false, 'The image refers to other files or has features that are not allowed.', 'Flatten it where its other files are (`qemu-img convert -O qcow2`) and try again.'),
  CorruptCompression: row('image', 422, 'DATA_LOSS', false, 'The compressed data is damaged or ends early.', 'Compress the image again and try again.'),
  DecoderMemory: row('image', 422, 'RESOURCE_EXHAUSTED', false, 'Decompressing needs more memory than allowed.', 'Compress it with a smaller dictionary and try again.'),
  ImageTooLarge: row('image', 422, 'OUT_OF_RANGE', false, 'The image is larger than the volume.', 'Delete the object and create it with at least the size that the detail names.'),
  ChecksumMismatch: row('image', 422, 'DATA_LOSS', false, 'The bytes do not have the checksum that was asked.', 'Check the checksum and the source; one of them is wrong.'),
  ConversionFailed: row('image', 422, 'INTERNAL', false, 'qemu-img could not convert the image.', 'Check the image with `qemu-img check`; the detail holds what qemu-img said.'),

  // Volumes and pools
  NoSpace: row('space', 507, 'RESOURCE_EXHAUSTED', true, 'The disk of the pool is full.', 'Free room on the pool; it is tried again by itself.'),
  PoolFull: row('space', 507, 'RESOURCE_EXHAUSTED', true, 'The pool cannot promise that much room.', 'Delete volumes to make room; it is tried again by itself.'),
  VolumeTooLarge: row('space', 422, 'RESOURCE_EXHAUSTED', false, 'The pool cannot hold a volume of that size.', 'Ask for at most the size that the detail names.'),
  CannotGrow: row('space', 507, 'OUT_OF_RANGE', true, 'The volume cannot become that large.', 'Ask for no more than there is room for, or delete other volumes; it is tried again by itself.'),
  PoolMissing: row('machine', 503, 'UNAVAILABLE', true, 'The directory of the pool is missing or not the one it was.', 'Mount the disk of the pool; nothing was deleted and nothing is created in its place.'),
  PoolInUse: row('machine', 503, 'FAILED_PRECONDITION', false, 'Another process owns the pool.', 'Stop the other worker, or give this one a pool of its own.'),
  PoolReadOnly: row('machine', 503, 'FAILED_PRECONDITION', false, 'The pool or store was written by a newer version and is only read.', 'Start the newer version again.'),
  NoPoolHere: row('space', 503, 'RESOURCE_EXHAUSTED', true, 'The node has no such pool.', 'Choose a storage class whose pool this node has, or another node; it goes on by itself when the node has that pool.'),
  VolumeInUse: row('state', 409, 'FAILED_PRECONDITION', false, 'The volume is in use.', 'End its use and try again.'),
  VolumeNotFilled: row('state', 409, 'FAILED_PRECONDITION', true, 'The volume is not filled yet.', 'It goes on by itself when the import, upload or clone is complete; see the DataVolume of that name.'),
  VolumeCorrupt: row('machine', 500, 'DATA_LOSS', false, 'The record of the volume cannot be read.', 'Look at it with `longshore doctor`; nothing was removed.'),
  NoLoopDevice: row('machine', 503, 'UNAVAILABLE', true, 'The volume gets no block device.', 'See the detail, and try `losetup --find` as root; it is tried again by itself.'),
  StaleAttempt: row('state', 409, 'ABORTED', false, 'A later attempt owns the volume.', 'Nothing to do: the later attempt goes on.'),
  SourceNotReady: row('state', 409, 'FAILED_PRECONDITION', true, 'The source volume is not complete yet.', 'It goes on by itself when the source is complete.'),
  SourceFailed: row('state', 409, 'FAILED_PRECONDITION', false, 'The source volume has failed and will not be complete.', 'See why with `longshore describe` of the source that the detail names; create it again, and then the clone.'),
  PermissionDenied: row('machine', 500, 'PERMISSION_DENIED', false, 'The service may not open a file or device that it needs.', 'Give the user of the service the right that the detail names.'),

  // The machine
  ProgramMissing: row('machine', 500, 'FAILED_PRECONDITION', false, 'A program that is needed is not installed.', 'Install the Debian package that the detail names.'),
  NeedsRoot: row('machine', 403, 'PERMISSION_DENIED', false, 'This needs root.', 'Run the command that the detail names with sudo.'),
  AddressInUse: row('machine', 500, 'UNAVAILABLE', false, 'The address to listen on is taken.', 'Stop the other program, or choose another address with --listen.'),
  OutputBroken: row('machine', 500, 'UNAVAILABLE', false, 'The output of the command cannot be written.', 'Make room where the output goes, or send it elsewhere; what the service was asked for goes on.'),
  AlreadyRunning: row('state', 409, 'FAILED_PRECONDITION', false, 'A service runs in this data directory already.', 'Use the service that runs, or stop it first.'),
  ServiceUnreachable: row('machine', 503, 'UNAVAILABLE', true, 'No running service was found.', 'Start one with `longshore up`, or set LONGSHORE_DATA to its data directory.'),
  RedisUnavailable: row('machine', 503, 'UNAVAILABLE', true, 'Redis cannot be reached.', 'It goes on by itself when Redis is back; check that it runs.'),
  RedisUnsafe: row('machine', 500, 'FAILED_PRECONDITION', false, 'Redis may evict keys, and jobs with them.', 'Set its maxmemory-policy to noeviction, or LONGSHORE_REDIS_MAY_EVICT=yes if it may lose jobs.'),
  StoreUnavailable: row('machine', 503, 'UNAVAILABLE', true, 'The file of the object store cannot be read or written.', 'Check the disk under the data directory, then start the service again.'),
  NewerVersion: row('machine', 500, 'FAILED_PRECONDITION', false, 'The data was written by a newer version of Longshore.', 'Start that version again, or use another data directory.'),
  OutOfMemory: row('machine', 500, 'RESOURCE_EXHAUSTED', true, 'A program ran out of memory.', 'Raise the limit that the detail names.'),
  TooBusy: row('machine', 503, 'RESOURCE_EXHAUSTED', true, 'The worker does as much of this at once as it may.', 'Try again when what runs has ended.'),
  NodeLost: row('machine', 503, 'UNAVAILABLE', true, 'The worker of the node does not answer.', 'It goes on by itself when the worker is back.'),
  ControllerUnreachable: row('machine', 503, 'UNAVAILABLE', true, 'The controller cannot be reached.', 'It goes on by itself when the controller is back; check that it runs.'),
  Quota: row('space', 403, 'RESOURCE_EXHAUSTED', true, 'A quota does not allow it.', 'Raise the quota or delete other objects.'),

  // Ends that somebody chose
  Cancelled: row('stopped', 409, 'CANCELLED', false, 'It was cancelled.', 'Delete the object; create it again if it is still wanted.'),
  Interrupted: row('stopped', 503, 'ABORTED', true, 'The service stopped while it was running.', 'It goes on by itself when the service is back.'),
  TimedOut: row('stopped', 504, 'DEADLINE_EXCEEDED', true, 'It took longer than allowed.', 'Try again, or raise the limit that the detail names.'),
  BudgetExhausted: row('source', 422, 'RESOURCE_EXHAUSTED', false, 'All attempts or the byte budget for this source are used up.', 'Put right what the detail names as the last fault, then create the object again.'),
  Internal: row('internal', 500, 'INTERNAL', true, 'Something unexpected failed.', 'Look into the log of the service; please report it.'),
} as const satisfies Record<string, FaultRow>;

export type FaultCode = keyof typeof faultCatalogue;
