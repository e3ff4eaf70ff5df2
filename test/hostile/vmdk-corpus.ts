// VMDK images that lie: they name other files, tell absurd numbers, or lack what they name.
import { withFooter } from './good-images.ts';
import { type HostileImage, spoilerOf } from './spoiled-image.ts';

const descriptorAt = 512;
const at = {
  version: 4,
  flags: 8,
  capacity: 12,
  grain: 20,
  descriptor: 28,
  tableEntries: 44,
  copy: 48,
  directory: 56,
  overhead: 64,
  newlines: 73,
  compression: 77,
};
const largest64 = 0xffffffffffffffffn;
const twoTo63 = 1n << 63n;

export function descriptionOfAFileOfTheMachine(): Buffer {
  const text = '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n';
  return Buffer.from(`${text}RW 2048 FLAT "/etc/passwd" 0\n`.padEnd(1024, '\n'), 'latin1');
}

/** @param good monolithicSparse */
export function hostileVmdkImages(good: Buffer, packed: Buffer): HostileImage[] {
  return [...ofOtherFiles(good), ...ofNumbers(good), ...ofTables(good), ...packedOnes(packed)];
}

function ofOtherFiles(good: Buffer): HostileImage[] {
  const { set, spoiled } = spoilerOf('vmdk', good);
  const described = (name: string, code: HostileImage['code'], change: (text: string) => string) =>
    set(name, code, (image) => {
      const text = change(image.toString('latin1', descriptorAt, image.indexOf(0, descriptorAt)));
      image.fill(0, descriptorAt, 21 * 512).write(text, descriptorAt, 'latin1');
    });
  const extent = /RW \d+ SPARSE "[^"]*"/;
  return [
    spoiled('a description whose flat extent is a file of the machine', 'HostileImage', () =>
      descriptionOfAFileOfTheMachine(),
    ),
    described('an extent that is flat', 'HostileImage', (text) => text.replace(extent, 'RW 2048 FLAT "/etc/passwd" 0')),
    described('an extent of VMFS', 'HostileImage', (text) => text.replace(extent, 'RW 2048 VMFS "disk-flat.vmdk"')),
    described('an extent of a device', 'HostileImage', (text) => text.replace(extent, 'RW 2048 VMFSRDM "/dev/sda"')),
    described('an extent with a path', 'HostileImage', (text) => text.replace(extent, 'RW 2048 SPARSE "/etc/shadow"')),
    described('an extent above its directory', 'HostileImage', (text) =>
      text.replace(extent, 'RW 2048 SPARSE "../../etc/shadow"'),
    ),
    described('an extent behind a URL', 'HostileImage', (text) =>
      text.replace(extent, 'RW 2048 SPARSE "nbd:localhost:10809"'),
    ),
    described('two extents', 'HostileImage', (text) => text.replace(extent, '$&\nRW 2048 SPARSE "other.vmdk"')),
    described('the name of a parent', 'HostileImage', (text) =>
      text.replace('createType', 'parentFileNameHint="/etc/passwd"\ncreateType'),
    ),
    described('the mark of a parent', 'HostileImage', (text) =>
      text.replace('parentCID=ffffffff', 'parentCID=12345678'),
    ),
    described(
      'a parent behind the end of its description',
      'HostileImage',
      (text) => `${text}\0\0\0\nparentFileNameHint="/etc/passwd"\n`,
    ),
    described('one part of several', 'UnsupportedFormat', (text) =>
      text.replace('monolithicSparse', 'twoGbMaxExtentSparse'),
    ),
    set('no content but a description', 'HostileImage', (image) => image.writeBigUInt64LE(0n, at.capacity)),
    set('no description of its own', 'HostileImage', (image) => image.writeBigUInt64LE(0n, at.descriptor)),
    set('a description elsewhere', 'HostileImage', (image) => image.writeBigUInt64LE(2n, at.descriptor)),
    set('a description at the end of all', 'HostileImage', (image) => image.writeBigUInt64LE(largest64, at.descriptor)),
    set('of ESX', 'UnsupportedFormat', (image) => image.write('COWD', 0, 'latin1')),
  ];
}

function ofNumbers(good: Buffer): HostileImage[] {
  const { set } = spoilerOf('vmdk', good);
  return [
    set('version 0', 'UnsupportedFormat', (image) => image.writeUInt32LE(0, at.version)),
    set('version 4', 'UnsupportedFormat', (image) => image.writeUInt32LE(4, at.version)),
    set('unknown features', 'HostileImage', (image) => image.writeUInt32LE(0x80000003, at.flags)),
    set('virtual size of 2^63', 'HostileImage', (image) => image.writeBigUInt64LE(twoTo63 / 512n, at.capacity)),
    set('2^63 sectors', 'HostileImage', (image) => image.writeBigUInt64LE(twoTo63, at.capacity)),
    set('larger than the volume', 'ImageTooLarge', (image) => image.writeBigUInt64LE(1n << 24n, at.capacity)),
    set('grains of nothing', 'HostileImage', (image) => image.writeBigUInt64LE(0n, at.grain)),
    set('grains of 3 sectors', 'HostileImage', (image) => image.writeBigUInt64LE(3n, at.grain)),
    set('grains of 1 GiB', 'HostileImage', (image) => image.writeBigUInt64LE(2n << 20n, at.grain)),
    set('grains of 2^64 sectors', 'HostileImage', (image) => image.writeBigUInt64LE(largest64, at.grain)),
    set('tables of nothing', 'HostileImage', (image) => image.writeUInt32LE(0, at.tableEntries)),
    set('tables of 2^32 entries', 'HostileImage', (image) => image.writeUInt32LE(0xffffffff, at.tableEntries)),
    set('an unknown compression', 'UnsupportedFormat', (image) => image.writeUInt16LE(2, at.compression)),
    set('packed grains, says one of two places', 'CorruptImage', (image) => image.writeUInt16LE(1, at.compression)),
    set('transferred as text', 'CorruptImage', (image) => image.write('\r\n \n', at.newlines, 'latin1')),
  ];
}

function ofTables(good: Buffer): HostileImage[] {
  const { set, cut } = spoilerOf('vmdk', good);
  const directoryOf = (image: Buffer): number => Number(image.readBigUInt64LE(at.directory)) * 512;
  const tableOf = (image: Buffer): number => image.readUInt32LE(directoryOf(image)) * 512;
  return [
    set('no grain directory', 'CorruptImage', (image) => image.writeBigUInt64LE(0n, at.directory)),
    set('grain directory beyond the end', 'CorruptImage', (image) => image.writeBigUInt64LE(1n << 30n, at.directory)),
    set('grain directory in sector 2^60', 'HostileImage', (image) => image.writeBigUInt64LE(1n << 60n, at.directory)),
    set('copy of the directory beyond the end', 'CorruptImage', (image) => image.writeBigUInt64LE(1n << 30n, at.copy)),
    set('first grain beyond the end', 'CorruptImage', (image) => image.writeBigUInt64LE(1n << 30n, at.overhead)),
    set('a grain directory at its end, and no footer', 'CorruptImage', (image) =>
      image.writeBigUInt64LE(largest64, at.directory),
    ),
    set('grain table beyond the end', 'CorruptImage', (image) => image.writeUInt32LE(0xfffffff0, directoryOf(image))),
    set('grain beyond the end', 'CorruptImage', (image) => image.writeUInt32LE(0xfffffff0, tableOf(image) + 12)),
    cut('cut in its last grain', good.byteLength - 4096),
    cut('cut in its tables', directoryOf(good) + 2),
    cut('cut in its description', 600),
    cut('cut in its header', 60),
  ];
}

function packedOnes(packed: Buffer): HostileImage[] {
  const { cut } = spoilerOf('packed vmdk', packed);
  const whole = withFooter(packed);
  const { set, cut: cutFooter } = spoilerOf('packed vmdk with a footer', whole);
  const footerAt = whole.byteLength - 1024;
  return [
    cut('cut in its last grain', packed.byteLength - 8192),
    set('no magic in the footer', 'CorruptImage', (image) => image.fill(0, footerAt, footerAt + 4)),
    set('no mark before the footer', 'CorruptImage', (image) => image.fill(0, footerAt - 512, footerAt)),
    set('a footer that does not tell either', 'CorruptImage', (image) =>
      image.writeBigUInt64LE(largest64, footerAt + at.directory),
    ),
    set('a footer of another size', 'HostileImage', (image) => image.writeBigUInt64LE(4096n, footerAt + at.capacity)),
    set('a footer with other grains', 'HostileImage', (image) => image.writeBigUInt64LE(256n, footerAt + at.grain)),
    set('a directory beyond the end', 'CorruptImage', (image) =>
      image.writeBigUInt64LE(1n << 30n, footerAt + at.directory),
    ),
    cutFooter('cut in the footer', whole.byteLength - 600),
    cutFooter('cut before the footer', whole.byteLength - 1536),
  ];
}
