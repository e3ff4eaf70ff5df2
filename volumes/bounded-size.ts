// How long the file of a file system has to be, so that a disk of a given size fits into it whole, and the other way round. Pure.
const unit = 1024 * 1024;
/** Journal, superblocks and their copies, what is kept for growth, and a little. */
const fixedBytes = 12 * unit;

/** Inode tables take 0.8 %, and the tree of a disk whose every block lies alone 0.3 %. In whole MiB. */
export function fileSystemBytesFor(sizeBytes: number): number {
  return Math.ceil((sizeBytes + sizeBytes / 50 + fixedBytes) / unit) * unit;
}

/** The largest size for which the file has at most so many bytes; 0 where there is none. */
export function sizeThatFits(fileBytes: number): number {
  const wholeBytes = Math.floor(fileBytes / unit) * unit;
  let sizeBytes = Math.max(0, Math.floor(((wholeBytes - fixedBytes) * 50) / 51));
  while (sizeBytes > 0 && fileSystemBytesFor(sizeBytes) > fileBytes) sizeBytes -= 1;
  return sizeBytes;
}
