// A good small image with one thing wrong: how the corpora of hostile images are written.
import type { FaultCode } from '../../domain/fault-catalogue.ts';

export interface HostileImage {
  name: string;
  bytes: Buffer;
  code: FaultCode;
}

/** Changes the copy that it gets, or makes another one of it. */
export type Spoil = (image: Buffer) => Buffer | undefined;

/** @param seal run over the spoiled image: puts its checksums right again, so that only the one thing is wrong */
export function spoilerOf(format: string, good: Buffer, seal: (image: Buffer) => void = () => undefined) {
  const spoiled = (name: string, code: FaultCode, spoil: Spoil): HostileImage => {
    const image = Buffer.from(good);
    const changed = spoil(image) ?? image;
    seal(changed);
    return { name: `${format}: ${name}`, code, bytes: changed };
  };
  const set = (name: string, code: FaultCode, change: (image: Buffer) => unknown): HostileImage =>
    spoiled(name, code, (image) => {
      change(image);
      return undefined;
    });
  const cut = (name: string, bytes: number): HostileImage => ({
    name: `${format}: ${name}`,
    code: 'CorruptImage',
    bytes: good.subarray(0, bytes),
  });
  return { spoiled, set, cut };
}
