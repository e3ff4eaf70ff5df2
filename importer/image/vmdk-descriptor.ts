// The text inside of a VMDK that says what it consists of. It may name other files, which qemu-img would open: every such image is refused. Pure.
import { judgeOf, sectorBytes } from './inspection.ts';

const { hostile, unsupported } = judgeOf('vmdk');

/** From the second sector on; qemu-img looks at as much, whatever length the header tells. */
export const vmdkDescriptorEnd = 21 * sectorBytes;
const ownTypes = ['monolithicSparse', 'streamOptimized'];
const noParent = 'ffffffff';

/**
 * @param head beginning of the file
 * @throws Fault HostileImage for a parent, for several extents, and for one that lies elsewhere; UnsupportedFormat for another type
 */
export function checkVmdkDescriptor(head: Buffer): void {
  const looked = head.toString('latin1', sectorBytes, vmdkDescriptorEnd);
  // Also behind the end of the text: who reads on finds it there.
  if (/parentFileNameHint/i.test(looked)) throw hostile('it names a parent image');
  const [text = ''] = looked.split('\0', 1);
  const parent = /^\s*parentCID\s*=\s*"?([0-9a-f]+)/im.exec(text)?.[1];
  if (parent !== undefined && parent.toLowerCase() !== noParent)
    throw hostile('it holds only what differs from a parent');
  const type = /^\s*createType\s*=\s*"?([^"\r\n]*)/im.exec(text)?.[1]?.trim();
  if (type !== undefined && !ownTypes.some((own) => own.toLowerCase() === type.toLowerCase())) {
    throw unsupported(`type ${type}`);
  }
  checkExtents(text);
}

/** Such as `RW 20480 SPARSE "disk.vmdk"`: the file itself, whatever it is called now. */
function checkExtents(text: string): void {
  const extents = [...text.matchAll(/^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)(?:\s+"([^"\r\n]*)")?/gim)];
  if (extents.length > 1) throw hostile(`it has its content in ${extents.length} files`);
  for (const [, kind = '', name = ''] of extents) {
    if (kind.toUpperCase() !== 'SPARSE') throw hostile(`an extent of type ${kind}, which lies in another file`);
    if (/[/\\:]/.test(name)) throw hostile('its extent names another file');
  }
}
