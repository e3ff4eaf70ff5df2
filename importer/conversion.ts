// Turns an image that needs random access into the disk: qemu-img reads it through our own NBD server and writes staging's disk.img.
// What the reader fails with is the fault of the conversion, not what qemu-img then says. Afterwards no child and no socket is left.
import { join } from 'node:path';
import { toFault } from '../domain/fault.ts';
import { FollowingDigest } from '../volumes/following-digest.ts';
import type { ImageFormat } from '../volumes/qemu-img.ts';
import type { Staging } from '../volumes/staging.ts';
import { NbdServer } from './nbd/nbd-server.ts';
import type { RandomReader } from './nbd/random-reader.ts';
import type { TransferHooks } from './transfer-hooks.ts';

export interface Conversion {
  reader: RandomReader;
  format: ImageFormat;
  /** qemu-img may not write beyond this. */
  capBytes: number;
  /** Also ends it. */
  signal: AbortSignal;
  onPercent(percent: number): void;
}

/**
 * @returns the digest, of which most is made already; its disposal is owed
 * @throws Fault of the reader, ConversionFailed, CorruptImage, ImageTooLarge, NoSpace, OutOfMemory, TimedOut, or the reason of the abort
 */
export async function convertFromReader(
  conversion: Conversion,
  staging: Staging,
  hooks: TransferHooks,
): Promise<FollowingDigest> {
  const server = await NbdServer.listen(join(staging.directory, 'nbd'), conversion.reader);
  const stop = new AbortController();
  const signal = AbortSignal.any([conversion.signal, server.failed, stop.signal]);
  const spawned = Promise.withResolvers<void>();
  const converting = hooks.qemuImg.convert({
    source: { nbdSocket: server.socketPath },
    format: conversion.format,
    target: staging.diskPath,
    capBytes: conversion.capBytes,
    signal,
    onProgress: conversion.onPercent,
    onSpawn: async (pid) => {
      await staging.adopt(pid);
      spawned.resolve();
    },
  });
  let digest: FollowingDigest | undefined;
  let following: Promise<void> | undefined;
  try {
    await Promise.race([spawned.promise, converting]);
    digest = await FollowingDigest.begin(staging.diskPath, AbortSignal.any([conversion.signal, stop.signal]));
    following = digest.follow(converting);
    await Promise.all([converting, following]);
    server.failed.throwIfAborted();
    return digest;
  } catch (error) {
    stop.abort(toFault(error));
    await Promise.allSettled([converting, following]);
    await digest?.[Symbol.asyncDispose]();
    throw server.failed.aborted ? server.failed.reason : error;
  } finally {
    await server.close();
  }
}
