import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { customResources } from '../domain/custom-resources/custom-resources.ts';
import { customResourceDefinition, definitionFile } from './custom-resource-definition.ts';
import { schemasWithin, structuralProblems, undescribedMembers } from './structural-rules.ts';

const definitions = customResources.map(customResourceDefinition);

function versionOf(kind: string) {
  const definition = definitions.find(({ spec }) => spec.names.kind === kind);
  const [version] = definition?.spec.versions ?? [];
  if (version === undefined) throw new Error(`there is no ${kind}`);
  return version;
}

function membersOf(kind: string): Set<string> {
  return new Set([...schemasWithin(versionOf(kind).schema.openAPIV3Schema)].map(([path]) => path));
}

describe('the CRDs', () => {
  test('have the names, scopes, status paths and columns of CDI', () => {
    const rows = definitions.map(({ metadata, spec }) => {
      const { shortNames = [], categories = [], kind } = spec.names;
      const version = versionOf(kind);
      const columns = (version.additionalPrinterColumns ?? []).map((column) => Object.values(column)[0]);
      const status = version.subresources === undefined ? '-' : 'status';
      return [metadata.name, kind, spec.scope, shortNames.join(), categories.join(), status, columns.join()].join(' ');
    });
    expect(rows.sort()).toEqual([
      'cdiconfigs.cdi.kubevirt.io CDIConfig Cluster   - ',
      'cdis.cdi.kubevirt.io CDI Cluster cdi,cdis  - Age,Phase',
      'dataimportcrons.cdi.kubevirt.io DataImportCron Namespaced dic,dics all - Format',
      'datasources.cdi.kubevirt.io DataSource Namespaced das all - ',
      'datavolumes.cdi.kubevirt.io DataVolume Namespaced dv,dvs all status Phase,Progress,Restarts,Age',
      'objecttransfers.cdi.kubevirt.io ObjectTransfer Cluster ot,ots  status Age,Phase',
      'openstackvolumepopulators.forklift.cdi.kubevirt.io OpenstackVolumePopulator Namespaced osvp,osvps  - ',
      'ovirtvolumepopulators.forklift.cdi.kubevirt.io OvirtVolumePopulator Namespaced ovvp,ovvps  - ',
      'storageprofiles.cdi.kubevirt.io StorageProfile Cluster   status ',
      'volumeclonesources.cdi.kubevirt.io VolumeCloneSource Namespaced   - ',
      'volumeimportsources.cdi.kubevirt.io VolumeImportSource Namespaced   - ',
      'volumeuploadsources.cdi.kubevirt.io VolumeUploadSource Namespaced   - ',
    ]);
    for (const { spec } of definitions) {
      expect(spec.versions).toEqual([expect.objectContaining({ name: 'v1beta1', served: true, storage: true })]);
      expect(spec.names.listKind).toBe(`${spec.names.kind}List`);
    }
  });

  test.for(definitions.map((definition) => [definition.spec.names.kind] as const))(
    'that of %s is structural, and describes every member',
    ([kind]) => {
      const schema = versionOf(kind).schema.openAPIV3Schema;
      expect(structuralProblems(schema)).toEqual([]);
      expect(undescribedMembers(schema)).toEqual([]);
    },
  );

  test('keep what Longshore tells beyond CDI', () => {
    const members = membersOf('DataVolume');
    expect([...members]).toEqual(
      expect.arrayContaining(['status.longshore.fault.code', 'status.longshore.phases[].bytes', 'status.restartCount']),
    );
    expect([...membersOf('DataImportCron')].filter((path) => path.includes('longshore'))).toEqual([]);
  });

  test('have columns that point at members', () => {
    for (const { spec } of definitions) {
      for (const column of versionOf(spec.names.kind).additionalPrinterColumns ?? []) {
        const path = 'jsonPath' in column ? String(column.jsonPath).slice(1) : '';
        const isThere = path === 'metadata.creationTimestamp' || membersOf(spec.names.kind).has(path);
        expect([path, isThere]).toEqual([path, true]);
      }
    }
  });

  test('are kept by Helm, and written as YAML that says the same', () => {
    for (const resource of customResources) {
      const [name, content] = definitionFile(resource);
      const definition = customResourceDefinition(resource);
      expect(name).toBe(`${definition.metadata.name}.yaml`);
      expect(parse(content)).toEqual(JSON.parse(JSON.stringify(definition)));
      expect(definition.metadata.annotations).toEqual({ 'helm.sh/resource-policy': 'keep' });
    }
  });
});
