// CDIConfig: how the whole installation behaves. There is one object, `config`. The same settings are `spec.config` of a CDI object.
import { type Static, Type } from 'typebox';
import { LocalObjectReference, PodResources } from '../kube-shapes.ts';
import type { KubeObject } from '../object-store.ts';
import {
  optionalAs,
  optionalChoice,
  optionalFlag,
  optionalInteger,
  optionalList,
  optionalObject,
  optionalText,
  optionalTexts,
  text,
} from '../schema-members.ts';

const importProxy = () =>
  optionalObject('proxy through which imports reach their sources', {
    HTTPProxy: optionalText('URL of the proxy for http'),
    HTTPSProxy: optionalText('URL of the proxy for https'),
    noProxy: optionalText('hosts and networks that are reached directly, separated by commas'),
    trustedCAProxy: optionalText('config map with the CAs of the proxy'),
  });

/** A share of a volume: 0 to 1 with three decimals at most. */
const Share = Type.String({ pattern: '^(0(?:\\.\\d{1,3})?|1)$' });

const filesystemOverhead = () =>
  optionalObject('share of a Filesystem volume that the filesystem itself needs, by which claims are made larger', {
    global: optionalAs(Share, 'the share where no other is given, such as 0.06'),
    storageClass: Type.Optional(
      Type.Record(Type.String(), Share, { description: 'the share by storage class, such as local: "0.1"' }),
    ),
  });

const imagePullSecrets = () =>
  optionalList(LocalObjectReference, 'secrets with which the images of our own pods are pulled');

const profile = (description: string) => Type.Optional(Type.Union([Type.Object({}), Type.Null()], { description }));

const CustomProfile = Type.Object({
  ciphers: Type.Array(Type.String(), { description: 'cipher suites, in the names of OpenSSL' }),
  minTLSVersion: text('oldest version of TLS that is spoken', {
    enum: ['VersionTLS10', 'VersionTLS11', 'VersionTLS12', 'VersionTLS13'],
  }),
});

const tlsSecurityProfile = () =>
  optionalObject('versions and ciphers of TLS that our servers speak; Intermediate where it is absent', {
    type: optionalChoice('which of the profiles holds', ['Old', 'Intermediate', 'Modern', 'Custom']),
    old: profile('for very old clients'),
    intermediate: profile('TLS 1.2 and newer'),
    modern: profile('TLS 1.3 only'),
    custom: Type.Optional(
      Type.Union([CustomProfile, Type.Null()], { description: 'exactly what stands here; take care' }),
    ),
  });

export const CdiConfigSpec = Type.Object(
  {
    uploadProxyURLOverride: optionalText('address of the upload proxy that clients are to use'),
    importProxy: importProxy(),
    scratchSpaceStorageClass: optionalText('storage class of scratch space'),
    podResourceRequirements: optionalAs(PodResources, 'what the pods that fill volumes are given of the node'),
    featureGates: optionalTexts('features to switch on, such as HonorWaitForFirstConsumer'),
    webhookPvcRendering: optionalText(
      'Enabled or Disabled: whether labelled claims are completed from the storage profile',
    ),
    filesystemOverhead: filesystemOverhead(),
    preallocation: optionalFlag('allocate all blocks of volumes whose DataVolume does not say'),
    insecureRegistries: optionalTexts('registries, as host:port, whose certificate is not verified'),
    dataVolumeTTLSeconds: optionalInteger(
      'deprecated; seconds after which a DataVolume that succeeded was removed',
      'int32',
    ),
    tlsSecurityProfile: tlsSecurityProfile(),
    imagePullSecrets: imagePullSecrets(),
    logVerbosity: optionalInteger('how much is logged; larger is more', 'int32'),
  },
  { description: 'what is wanted' },
);

/** Texts that begin with `The` or the name of the type are CDI's own, which its clients look for. */
export const CdiConfigStatus = Type.Object(
  {
    uploadProxyURL: optionalText('The calculated upload proxy URL'),
    uploadProxyCA: optionalText('PEM certificate of the CA of the upload proxy'),
    importProxy: importProxy(),
    scratchSpaceStorageClass: optionalText('storage class of scratch space'),
    defaultPodResourceRequirements: optionalAs(PodResources, 'what the pods that fill volumes are given of the node'),
    filesystemOverhead: filesystemOverhead(),
    preallocation: optionalFlag('whether blocks are allocated where the DataVolume does not say'),
    imagePullSecrets: imagePullSecrets(),
  },
  { description: 'CDIConfigStatus provides the most recently observed status of the CDI Config resource' },
);

export interface CdiConfig extends KubeObject {
  apiVersion: 'cdi.kubevirt.io/v1beta1';
  kind: 'CDIConfig';
  spec: Static<typeof CdiConfigSpec>;
  status?: Static<typeof CdiConfigStatus>;
}
