// What kubectl 1.32 asks before it knows what there is: versions, discovery, OpenAPI.
import type { Recorded } from './recorded-request.ts';

const discovery =
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json';
const json = 'application/json';
const within = '/apis/cdi.kubevirt.io/v1beta1/namespaces/default/datavolumes';

export const recordedDiscovery: readonly Recorded[] = [
  {
    command: 'kubectl version',
    method: 'GET',
    path: '/version?timeout=5s',
    accept: 'application/json, */*',
    status: 200,
    expects: { major: '1', gitVersion: 'v1.34.0+longshore' },
  },
  {
    command: 'kubectl get dv -A: discovery of core',
    method: 'GET',
    path: '/api?timeout=32s',
    accept: discovery,
    status: 200,
    expects: { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2' },
  },
  {
    command: 'kubectl get dv -A: discovery of groups',
    method: 'GET',
    path: '/apis?timeout=32s',
    accept: discovery,
    status: 200,
    expects: { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2' },
  },
  {
    command: 'kubectl apply: the pages',
    method: 'GET',
    path: '/openapi/v3?timeout=32s',
    accept: 'application/json, */*',
    status: 200,
    expects: { paths: { 'apis/cdi.kubevirt.io/v1beta1': {}, 'api/v1': {} } },
  },
  {
    command: 'kubectl apply, kubectl explain dv.status: the page of the group',
    method: 'GET',
    path: '/openapi/v3/apis/cdi.kubevirt.io/v1beta1?timeout=32s',
    accept: json,
    status: 200,
    expects: {
      openapi: '3.0.0',
      components: {
        schemas: {
          'io.kubevirt.cdi.v1beta1.DataVolume': {
            properties: {
              status: { description: 'DataVolumeStatus contains the current status of the DataVolume' },
            },
            'x-kubernetes-group-version-kind': [{ group: 'cdi.kubevirt.io', kind: 'DataVolume', version: 'v1beta1' }],
          },
        },
      },
      paths: { [`${within.replace('default', '{namespace}')}/{name}`]: { patch: {} } },
    },
  },
];
