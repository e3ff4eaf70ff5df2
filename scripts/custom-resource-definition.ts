// A custom resource as the CustomResourceDefinition that a cluster is given: one version, served and stored, with a structural schema.
import { stringify } from 'yaml';
import type { CustomResource } from '../domain/custom-resources/custom-resources.ts';
import { type StructuralSchema, structuralSchema } from '../domain/structural-schema.ts';

export interface CustomResourceDefinition {
  apiVersion: 'apiextensions.k8s.io/v1';
  kind: 'CustomResourceDefinition';
  metadata: { name: string; annotations: Record<string, string> };
  spec: {
    group: string;
    names: {
      kind: string;
      listKind: string;
      plural: string;
      singular: string;
      shortNames?: readonly string[];
      categories?: readonly string[];
    };
    scope: 'Namespaced' | 'Cluster';
    versions: {
      name: string;
      served: true;
      storage: true;
      schema: { openAPIV3Schema: StructuralSchema };
      subresources?: { status: Record<string, never> };
      additionalPrinterColumns?: readonly object[];
    }[];
  };
}

function objectSchema({ description, spec, status }: CustomResource): StructuralSchema {
  return {
    description,
    type: 'object',
    required: ['spec'],
    properties: {
      apiVersion: { description: 'group and version of the kind', type: 'string' },
      kind: { description: 'what the object is', type: 'string' },
      metadata: { type: 'object' },
      spec: structuralSchema(spec),
      ...(status === undefined ? {} : { status: structuralSchema(status) }),
    },
  };
}

export function customResourceDefinition(resource: CustomResource): CustomResourceDefinition {
  const { ref, shortNames, categories, printerColumns } = resource;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    // Objects outlive the release that brought their kind: docs/decisions/008-crds-that-upgrade.md.
    metadata: { name: `${ref.plural}.${ref.group}`, annotations: { 'helm.sh/resource-policy': 'keep' } },
    spec: {
      group: ref.group,
      names: {
        kind: ref.kind,
        listKind: `${ref.kind}List`,
        plural: ref.plural,
        singular: ref.kind.toLowerCase(),
        ...(shortNames === undefined ? {} : { shortNames }),
        ...(categories === undefined ? {} : { categories }),
      },
      scope: ref.namespaced ? 'Namespaced' : 'Cluster',
      versions: [
        {
          name: ref.version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: objectSchema(resource) },
          ...(resource.statusSubresource === true ? { subresources: { status: {} } } : {}),
          ...(printerColumns === undefined ? {} : { additionalPrinterColumns: printerColumns }),
        },
      ],
    },
  };
}

/** The file of the chart: its name and what it holds. */
export function definitionFile(resource: CustomResource): readonly [name: string, content: string] {
  const definition = customResourceDefinition(resource);
  const yaml = stringify(definition, { lineWidth: 0, aliasDuplicateObjects: false });
  return [`${definition.metadata.name}.yaml`, `# Made by \`npm run docs\` from the code. Do not edit.\n${yaml}`];
}
