// CDI: the object by which CDI's operator is told how to install CDI. Longshore is installed by its chart; clients that look for the kind find it.
import { Type } from 'typebox';
import { optionalConditions } from '../kube-shapes.ts';
import {
  optionalAs,
  optionalChoice,
  optionalInteger,
  optionalList,
  optionalObject,
  optionalText,
  optionalTextMap,
  text,
} from '../schema-members.ts';
import { CdiConfigSpec } from './cdi-config.ts';
import { placementMembers } from './pod-placement.ts';

const replicas = (component: string) => optionalInteger(`how many pods of ${component} run`, 'int32');

const certificate = (description: string) =>
  optionalObject(description, {
    duration: optionalText('how long a certificate is valid, such as 24h'),
    renewBefore: optionalText('how long before its end it is renewed'),
  });

const Patch = Type.Object({
  resourceType: text('kind of the resource', { minLength: 1 }),
  resourceName: text('name of the resource', { minLength: 1 }),
  type: text('json, merge or strategic'),
  patch: text('the patch itself, as JSON'),
});

const flags = (component: string) => optionalTextMap(`flags of ${component}, by name`);

export const CdiSpec = Type.Object(
  {
    imagePullPolicy: optionalChoice('when images are pulled', ['Always', 'IfNotPresent', 'Never']),
    uninstallStrategy: optionalChoice('whether it may be uninstalled while there are DataVolumes', [
      'RemoveWorkloads',
      'BlockUninstallIfWorkloadsExist',
    ]),
    infra: optionalObject('where the long-running pods run, and how many', {
      ...placementMembers,
      deploymentReplicas: replicas('the controller'),
      apiServerReplicas: replicas('the API server'),
      uploadProxyReplicas: replicas('the upload proxy'),
    }),
    workload: optionalObject('where the pods run that fill volumes', placementMembers),
    customizeComponents: optionalObject('changes to what is installed', {
      patches: optionalList(Patch, 'patches of single resources', { 'x-kubernetes-list-type': 'atomic' }),
      flags: optionalObject('flags of the processes', {
        api: flags('the API server'),
        controller: flags('the controller'),
        uploadProxy: flags('the upload proxy'),
      }),
    }),
    cloneStrategyOverride: optionalChoice('how clones are made, whatever the storage profiles say', [
      'copy',
      'snapshot',
      'csi-clone',
    ]),
    config: optionalAs(CdiConfigSpec, 'what the CDIConfig is to say'),
    certConfig: optionalObject('for how long certificates are valid', {
      ca: certificate('certificates of our own CAs'),
      server: certificate('certificates of our servers'),
      client: certificate('certificates of our clients'),
    }),
    priorityClass: optionalText('priority class of the long-running pods'),
  },
  { description: 'what is wanted' },
);

/** Texts that begin with `The` or the name of the type are CDI's own, which its clients look for. */
export const CdiStatus = Type.Object(
  {
    phase: optionalText('how far the installation is'),
    conditions: optionalConditions('Available, Progressing and Degraded'),
    operatorVersion: optionalText('version of what installs'),
    targetVersion: optionalText('The desired version of the resource'),
    observedVersion: optionalText('version that runs'),
  },
  { description: 'CDIStatus defines the status of the installation' },
);
