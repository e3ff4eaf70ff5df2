// The transfers that are measured: each beside its floor, with the ratio that is aimed at.
import type { ImageForm } from './bench-images.ts';
import type { ServerName } from './bench-servers.ts';
import {
  containerDiskFloor,
  convertFloor,
  copies,
  type FloorPlace,
  fanOutFloor,
  gunzip,
  overlapFloor,
  packedQcow2Floor,
  relayFloor,
  s3Floor,
  streamFloor,
  uploadFloor,
} from './native-floors.ts';
import { type OurTransfers, s3Secret } from './our-transfers.ts';

/** Where a case runs. */
export interface CasePlace extends FloorPlace {
  ours: OurTransfers;
}

export interface TransferCase {
  name: string;
  floor: string;
  aim: number;
  /** What has to be there for it. */
  form: ImageForm;
  server?: ServerName;
  /** Only with the smaller image: it makes many volumes. */
  isWide?: boolean;
  floorSeconds(place: CasePlace): Promise<number>;
  ourSeconds(place: CasePlace): Promise<number>;
}

const convert = 'qemu-img convert -t none';

export const transferCases: readonly TransferCase[] = [
  stream('raw', 0.95),
  {
    ...fromHttp('qcow2', 'qcow2', 1.3),
    floor: `max(curl to nowhere, ${convert})`,
    floorSeconds: (place) => overlapFloor(place, 'qcow2'),
  },
  compressed('qcow2 with zlib clusters', 'zlib.qcow2'),
  compressed('qcow2 with zstd clusters', 'zstd.qcow2'),
  stream('raw.gz', 1.05, gunzip),
  stream('raw.zst', 1.05, 'zstd -dcq'),
  { ...stream('raw.xz', 1.05, 'xz -dc'), name: 'import raw.xz, one block' },
  { ...stream('blocks.raw.xz', 1.05, 'xz -dc -T2'), name: 'import raw.xz, blocks' },
  {
    ...fromHttp('qcow2.xz', 'qcow2.xz', 1),
    floor: `curl, xz -T2, ${convert}, one after the other`,
    floorSeconds: packedQcow2Floor,
  },
  {
    name: 'import containerdisk, gzip layer',
    floor: `curl | ${gunzip} | tar, ${convert}`,
    aim: 0.9,
    form: 'oci',
    server: 'registry',
    floorSeconds: containerDiskFloor,
    ourSeconds: ({ ours, images, servers }) => ours.import({ registry: { url: servers.registryUrl(images) } }, images),
  },
  {
    name: 'import qcow2 from S3',
    floor: `max(4 ranges by curl --aws-sigv4, ${convert})`,
    aim: 1.5,
    form: 'qcow2',
    server: 's3',
    floorSeconds: s3Floor,
    ourSeconds: ({ ours, images, servers }) =>
      ours.import({ s3: { url: servers.s3Url(images), secretRef: s3Secret } }, images),
  },
  {
    name: 'import qcow2 over a slow line',
    floor: '4 ranges by curl over the same line',
    aim: 1.3,
    form: 'qcow2',
    server: 'relay',
    floorSeconds: relayFloor,
    ourSeconds: ({ ours, images, servers }) => ours.import({ http: { url: servers.slowUrl(images, 'qcow2') } }, images),
  },
  {
    name: 'import raw into 20 volumes at once',
    floor: `curl | dd conv=sparse,fdatasync, then ${copies} cp`,
    aim: 1.2,
    form: 'raw',
    isWide: true,
    floorSeconds: fanOutFloor,
    ourSeconds: ({ ours, images, servers }) =>
      ours.importAtOnce({ http: { url: servers.url(images, 'raw') } }, images, copies + 1),
  },
  {
    name: 'upload raw',
    floor: 'curl -T to nginx WebDAV over TLS, flushed',
    aim: 1,
    form: 'raw',
    floorSeconds: uploadFloor,
    ourSeconds: ({ ours, images }) => ours.uploadRaw(images),
  },
];

function fromHttp(name: string, form: ImageForm, aim: number): Omit<TransferCase, 'floor' | 'floorSeconds'> {
  return {
    name: `import ${name}`,
    aim,
    form,
    ourSeconds: ({ ours, images, servers }) => ours.import({ http: { url: servers.url(images, form) } }, images),
  };
}

function stream(form: ImageForm, aim: number, unpack?: string): TransferCase {
  return {
    ...fromHttp(form, form, aim),
    floor: ['curl', ...(unpack === undefined ? [] : [unpack]), 'dd conv=sparse,fdatasync'].join(' | '),
    floorSeconds: (place) => streamFloor(place, form, unpack),
  };
}

function compressed(name: string, form: ImageForm): TransferCase {
  return { ...fromHttp(name, form, 1.1), floor: convert, floorSeconds: (place) => convertFloor(place, form) };
}

/** @param wanted names, with or without `import`, or parts of names; all cases where there are none */
export function chooseCases(wanted: readonly string[], left: readonly string[] = []): readonly TransferCase[] {
  const without = new Set(left.flatMap(casesCalled));
  if (wanted.length === 0) return transferCases.filter((one) => !without.has(one));
  const chosen = new Set(wanted.flatMap(casesCalled));
  return transferCases.filter((one) => chosen.has(one) && !without.has(one));
}

function casesCalled(text: string): TransferCase[] {
  const exact = transferCases.filter(({ name }) => name === text || name === `import ${text}`);
  const called = exact.length > 0 ? exact : transferCases.filter(({ name }) => name.includes(text));
  if (called.length > 0) return called;
  throw new Error(`no case is called ${text}; there are: ${transferCases.map(({ name }) => name).join('; ')}`);
}
