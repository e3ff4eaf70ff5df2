// Turns an image that needs random access into the disk: qemu-img reads it through our own NBD server and writes staging's disk.img.
// What the reader fails with is the fault of the conversion, not what qemu-img then says. Afterwards no child and no socket is left.
import { join } from 'node:path';
import type { Staging } from '../volumes/staging.ts';
import type { ImageFormat } from './image/content-kind.ts';
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

/** @throws Fault of the reader, ConversionFailed, CorruptImage, ImageTooLarge, NoSpace, OutOfMemory, TimedOut, or the reason of the abort */
export async function convertFromReader(conversion: Conversion, staging: Staging, hooks: TransferHooks): Promise<void> {
  const server = await NbdServer.listen(join(staging.directory, 'nbd'), conversion.reader);
  try {
    await hooks.qemuImg.convert({
      source: { nbdSocket: server.socketPath },
      format: conversion.format,
      target: staging.diskPath,
      capBytes: conversion.capBytes,
      signal: AbortSignal.any([conversion.signal, server.failed]),
      onProgress: conversion.onPercent,
      onSpawn: (pid) => staging.adopt(pid),
    });
    server.failed.throwIfAborted();
  } catch (error) {
    throw server.failed.aborted ? server.failed.reason : error;
  } finally {
    await server.close();
  }
}
