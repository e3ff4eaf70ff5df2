// csi-sanity of kubernetes-csi/csi-test against the running driver, over its socket, with a pool and mounts. What it does not try is listed by name, each
// with the reason; a test that is skipped and not listed fails, and so does one that is listed and runs.
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { CsiFixture, isRoot, mib } from '../csi-fixture.ts';
import { devicesBelow } from '../leave-no-device.ts';
import { programsOf } from './build-programs.ts';
import { answerOf } from './run-program.ts';

/** Reason, container, names of its tests. csi-sanity skips by the capabilities that the driver tells. */
const notTried: readonly [reason: string, tests: Readonly<Record<string, readonly string[]>>][] = [
  [
    'snapshots of volumes are not made',
    {
      'CreateSnapshot [Controller Server]': [
        'should fail when no name is provided',
        'should fail when no source volume id is provided',
        'should succeed when requesting to create a snapshot with already existing name and same source volume ID',
        'should fail when requesting to create a snapshot with already existing name and different source volume ID',
        'should succeed when creating snapshot with maximum-length name',
        'should succeed when creating a snapshot with accessibility requirements',
      ],
      'DeleteSnapshot [Controller Server]': [
        'should fail when no snapshot id is provided',
        'should succeed when an invalid snapshot id is used',
        'should return appropriate values (no optional values added)',
      ],
      'GetSnapshot [Controller Server]': [
        'should return an error',
        'should return snapshot that match the specified snapshot id',
        'should return an error when the specified snapshot id does not exist',
      ],
      'ListSnapshots [Controller Server]': [
        'should return appropriate values (no optional values added)',
        'should return snapshots that match the specified snapshot id',
        'should return empty when the specified snapshot id does not exist',
        'should return snapshots that match the specified source volume id',
        'should return empty when the specified source volume id does not exist',
        'check the presence of new snapshots in the snapshot list',
        'should return next token when a limited number of entries are requested',
      ],
      'Controller Service [Controller Server] > CreateVolume': [
        'should create volume from an existing source snapshot',
        'should fail when the volume source snapshot is not found',
      ],
      'GroupController Service [GroupController Server] > GroupControllerGetCapabilities': [
        'should return appropriate capabilities',
      ],
      'GroupController Service [GroupController VolumeGroupSnapshots] > CreateVolumeGroupSnapshot': [
        'should fail when no name is provided',
      ],
      'GroupController Service [GroupController VolumeGroupSnapshots] > GetVolumeGroupSnapshot': [
        'should fail when no volume id is provided',
        'should fail when an invalid volume id is used',
      ],
      'GroupController Service [GroupController VolumeGroupSnapshots] > DeleteVolumeGroupSnapshot': [
        'should fail when no volume id is provided',
        'should succeed when an invalid volume id is used',
      ],
    },
  ],
  [
    'volumes are cloned by DataVolumes, not by the driver',
    {
      'Controller Service [Controller Server] > CreateVolume': [
        'should create volume from an existing source volume',
        'should fail when the volume source volume is not found',
      ],
    },
  ],
  [
    'volumes have nothing that a VolumeAttributesClass could change',
    {
      'ModifyVolume [Controller Server]': [
        'should fail if no volume id is given',
        'should fail if volume does not exist',
        'should fail if specified mutable parameters are not supported by the volume',
        'should modify a volume created without a volume attribute class',
        'should modify a volume created with a volume attribute class',
        'should fail to modify a volume created with a volume attribute class if new mutable parameters are not supported by volume',
      ],
      'Controller Service [Controller Server] > CreateVolume': [
        'should create volume with a volume attribute class',
        'should not create volume with an invalid volume attribute class',
      ],
    },
  ],
  [
    'a volume is on its node from the beginning: nothing is attached',
    {
      'Controller Service [Controller Server] > ControllerPublishVolume': [
        'should fail when no volume id is provided',
        'should fail when no node id is provided',
        'should fail when no volume capability is provided',
        'should fail when publishing more volumes than the node max attach limit',
        'should fail when the volume does not exist',
        'should fail when the node does not exist',
        'should fail when the volume is already published but is incompatible',
      ],
      'Controller Service [Controller Server] > ControllerUnpublishVolume': [
        'should fail when no volume id is provided',
      ],
      'Controller Service [Controller Server] > volume lifecycle': ['should work', 'should be idempotent'],
    },
  ],
  [
    'the health of volumes is told as their condition, which has tests of our own',
    {
      'ControllerListVolumeHealth [Controller Server]': ['should return appropriate response'],
      'ControllerGetVolumeHealth [Controller Server]': [
        'should fail when no volume id is provided',
        'should return health for a valid volume',
      ],
      'Node Service > NodeGetVolumeHealth': [
        'should fail when no volume id is provided',
        'should return health for a valid volume',
      ],
      'Node Service > NodeGetStorageHealth': ['should return appropriate response'],
    },
  ],
  [
    'csi-sanity itself has put it off',
    {
      'Controller Service [Controller Server] > ListVolumes': [
        'pagination should detect volumes added between pages and accept tokens when the last volume from a page is deleted',
      ],
    },
  ],
];

/** What version 5.6.0 has besides. */
const triedTests = 49;

/** What Ginkgo writes of each test into its report, as far as it is read here. */
interface SpecReport {
  ContainerHierarchyTexts: string[] | null;
  LeafNodeType: string;
  LeafNodeText: string;
  State: string;
  Failure?: { Message: string };
}

interface Outcome {
  name: string;
  state: string;
  message: string;
}

async function readReport(path: string): Promise<Outcome[]> {
  // Safe: written by Ginkgo, whose version go.mod fixes.
  const suites = JSON.parse(await readFile(path, 'utf8')) as { SpecReports: SpecReport[] }[];
  return suites
    .flatMap(({ SpecReports }) => SpecReports)
    .filter(({ LeafNodeType }) => LeafNodeType === 'It')
    .map(({ ContainerHierarchyTexts, LeafNodeText, State, Failure }) => ({
      name: [...(ContainerHierarchyTexts ?? []), LeafNodeText].join(' > '),
      state: State,
      message: Failure?.Message ?? '',
    }));
}

// Volumes are mounted.
describe.skipIf(!isRoot).each(['mount', 'block'])('csi-sanity, access type %s', (accessType) => {
  let outcomes: Outcome[];
  let leftVolumes: string[];
  let leftMounts: string[];
  let leftDevices: unknown[];

  beforeAll(async () => {
    const program = join(await programsOf('companions', (line) => process.stderr.write(`${line}\n`)), 'csi-sanity');
    await using csi = await CsiFixture.start();
    const within = (name: string) => join(csi.place.root, 'sanity', name);
    await mkdir(within('.'));
    await answerOf(program, [
      ...[`--csi.endpoint=${csi.socketPath}`, `--csi.mountdir=${within('target')}`],
      ...[`--csi.stagingdir=${within('staging')}`, `--csi.testvolumesize=${10 * mib}`],
      ...[`--csi.testvolumeaccesstype=${accessType}`, '--csi.testnodevolumeattachlimit'],
      ...[`--ginkgo.json-report=${within('report.json')}`],
    ]);
    outcomes = await readReport(within('report.json'));
    leftVolumes = await readdir(join(csi.place.directory, 'volumes'));
    leftMounts = await csi.mounts();
    leftDevices = await devicesBelow(csi.place.root);
  });

  test('fails in nothing', () => {
    expect(outcomes.filter(({ state }) => !['passed', 'skipped', 'pending'].includes(state))).toEqual([]);
    expect(outcomes.filter(({ state }) => state === 'passed')).toHaveLength(triedTests);
  });

  test('skips what the driver does not have, and nothing else', () => {
    const listed = notTried.flatMap(([, tests]) =>
      Object.entries(tests).flatMap(([container, names]) => names.map((name) => `${container} > ${name}`)),
    );
    const skipped = outcomes.filter(({ state }) => state !== 'passed').map(({ name }) => name);
    expect(skipped.sort()).toEqual(listed.sort());
  });

  test('leaves no volume, no mount and no device behind', () => {
    expect([leftVolumes, leftMounts, leftDevices]).toEqual([[], [], []]);
  });
});
