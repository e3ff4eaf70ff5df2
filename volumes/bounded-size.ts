// How long the file of a file system has to be, so that a disk of a given size fits into it whole. Pure.
const unit = 1024 * 1024;
/** Journal, superblocks and their copies, what is kept for growth, and a little. */
const fixedBytes = 12 * unit;

/** Inode tables take 0.8 %, and the tree of a disk whose every block lies alone 0.3 %. In whole MiB. */
export function fileSystemBytesFor(sizeBytes: number): number {
  return Math.ceil((sizeBytes + sizeBytes / 50 + fixedBytes) / unit) * unit;
}
