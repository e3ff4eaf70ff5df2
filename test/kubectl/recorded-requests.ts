// What kubectl 1.32 sends for the commands that people use, as recorded through a proxy, and what matters in the answers. `{uid}` stands
// for the uid of the DataVolume.
import { expect } from 'vitest';

export interface Recorded {
  readonly command: string;
  readonly method: string;
  readonly path: string;
  readonly accept: string;
  readonly contentType?: string;
  /** Text as sent; protobuf in base64. */
  readonly body?: string;
  readonly status: number;
  /** Members that the answer must have. */
  readonly expects: object;
}

const tables =
  'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json';
const discovery =
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json';
const typed = 'application/vnd.kubernetes.protobuf,application/json';
const json = 'application/json';
const protobuf = 'application/vnd.kubernetes.protobuf';

const all = '/apis/cdi.kubevirt.io/v1beta1/datavolumes';
const within = '/apis/cdi.kubevirt.io/v1beta1/namespaces/default/datavolumes';
const manifest = `"apiVersion":"cdi.kubevirt.io/v1beta1","kind":"DataVolume"`;
const spec = `"spec":{"source":{"blank":{}},"storage":{"resources":{"requests":{"storage":"1Gi"}}}}`;

export const recordedRequests: readonly Recorded[] = [
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
    command: 'kubectl get dv -A, nothing there',
    method: 'GET',
    path: `${all}?limit=500`,
    accept: tables,
    status: 200,
    expects: { kind: 'Table', apiVersion: 'meta.k8s.io/v1', rows: [] },
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
  {
    command: 'kubectl apply: is it there?',
    method: 'GET',
    path: `${within}/a`,
    accept: json,
    status: 404,
    expects: {
      kind: 'Status',
      status: 'Failure',
      reason: 'NotFound',
      message: 'datavolumes.cdi.kubevirt.io "a" not found',
      details: { name: 'a', group: 'cdi.kubevirt.io', kind: 'datavolumes' },
      code: 404,
    },
  },
  {
    command: 'kubectl apply: create',
    method: 'POST',
    path: `${within}?fieldManager=kubectl-client-side-apply&fieldValidation=Strict`,
    accept: json,
    contentType: json,
    body: `{${manifest},"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}\\n"},"name":"a","namespace":"default"},${spec}}\n`,
    status: 201,
    expects: { kind: 'DataVolume', metadata: { name: 'a', namespace: 'default', generation: 1 } },
  },
  {
    command: 'kubectl apply: change',
    method: 'PATCH',
    path: `${within}/a?fieldManager=kubectl-client-side-apply&fieldValidation=Strict`,
    accept: json,
    contentType: 'application/merge-patch+json',
    body: '{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{ }\\n"},"labels":{"x":"2"}}}',
    status: 200,
    expects: { metadata: { labels: { x: '2' }, generation: 1 } },
  },
  {
    command: 'kubectl apply --server-side',
    method: 'PATCH',
    path: `${within}/a?fieldManager=kubectl&fieldValidation=Strict&force=false`,
    accept: json,
    contentType: 'application/apply-patch+yaml',
    body: `{${manifest},"metadata":{"labels":{"x":"2"},"name":"a","namespace":"default"},${spec}}`,
    status: 200,
    expects: { metadata: { labels: { x: '2' } } },
  },
  {
    command: 'kubectl apply --server-side: the former annotation',
    method: 'PATCH',
    path: `${within}/a?fieldManager=kubectl-last-applied&fieldValidation=Strict`,
    accept: json,
    contentType: 'application/apply-patch+yaml',
    body: `{${manifest},"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{ }\\n"},"name":"a","namespace":"default"}}`,
    status: 200,
    expects: { kind: 'DataVolume' },
  },
  {
    command: 'kubectl get dv -A',
    method: 'GET',
    path: `${all}?limit=500`,
    accept: tables,
    status: 200,
    expects: {
      kind: 'Table',
      columnDefinitions: [
        { name: 'Name' },
        { name: 'Phase' },
        { name: 'Progress' },
        { name: 'Restarts' },
        { name: 'Age' },
      ],
      rows: [
        { cells: ['a', '', '', null, expect.stringMatching(/^\d+s$/)], object: { kind: 'PartialObjectMetadata' } },
      ],
    },
  },
  {
    command: 'kubectl describe dv a: its events',
    method: 'GET',
    path: '/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Da%2CinvolvedObject.namespace%3Ddefault%2CinvolvedObject.kind%3DDataVolume%2CinvolvedObject.uid%3D{uid}&limit=500',
    accept: typed,
    status: 200,
    expects: { kind: 'EventList', apiVersion: 'v1', items: [] },
  },
  {
    command: 'kubectl get events',
    method: 'GET',
    path: '/api/v1/namespaces/default/events?limit=500',
    accept: tables,
    status: 200,
    expects: { kind: 'Table', rows: [] },
  },
  {
    command: 'kubectl describe pvc: the pods that use it',
    method: 'GET',
    path: '/api/v1/namespaces/default/pods?limit=500',
    accept: typed,
    status: 200,
    expects: { kind: 'PodList', items: [] },
  },
  {
    command: 'kubectl auth can-i create dv',
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    accept: typed,
    contentType: protobuf,
    body: 'azhzAAoyChdhdXRob3JpemF0aW9uLms4cy5pby92MRIXU2VsZlN1YmplY3RBY2Nlc3NSZXZpZXcSVQoQCgASABoAIgAqADIAOABCABI3CjUKB2RlZmF1bHQSBmNyZWF0ZRoPY2RpLmt1YmV2aXJ0LmlvIgAqC2RhdGF2b2x1bWVzMgA6ABoICAASABoAIAAaACIA',
    status: 201,
    expects: {
      spec: {
        resourceAttributes: { namespace: 'default', verb: 'create', group: 'cdi.kubevirt.io', resource: 'datavolumes' },
      },
      status: { allowed: true },
    },
  },
  {
    command: 'kubectl auth whoami',
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    accept: typed,
    contentType: protobuf,
    body: 'azhzAAotChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESEVNlbGZTdWJqZWN0UmV2aWV3EhoKEAoAEgAaACIAKgAyADgAQgASBgoECgASABoAIgA=',
    status: 201,
    expects: { status: { userInfo: { username: 'admin' } } },
  },
  {
    command: 'kubectl wait: list',
    method: 'GET',
    path: `${within}?fieldSelector=metadata.name%3Da&limit=500&resourceVersion=0`,
    accept: json,
    status: 200,
    expects: { kind: 'DataVolumeList', items: [{ metadata: { name: 'a' } }] },
  },
  {
    command: 'kubectl label dv a k=v',
    method: 'PATCH',
    path: `${within}/a?fieldManager=kubectl-label`,
    accept: json,
    contentType: 'application/merge-patch+json',
    body: '{"metadata":{"labels":{"k":"v"}}}',
    status: 200,
    expects: { metadata: { labels: { k: 'v', x: '2' } } },
  },
  {
    command: 'kubectl annotate dv a k=v',
    method: 'PATCH',
    path: `${within}/a?fieldManager=kubectl-annotate`,
    accept: json,
    contentType: 'application/merge-patch+json',
    body: '{"metadata":{"annotations":{"k":"v"}}}',
    status: 200,
    expects: { metadata: { annotations: { k: 'v' } } },
  },
  {
    command: 'kubectl edit dv a',
    method: 'PATCH',
    path: `${within}/a?fieldManager=kubectl-edit&fieldValidation=Strict`,
    accept: json,
    contentType: 'application/merge-patch+json',
    body: '{"metadata":{"labels":{"x":null,"xx":"2"}}}',
    status: 200,
    expects: { metadata: { labels: { k: 'v', xx: '2' } } },
  },
  {
    command: 'kubectl patch dv a (strategic, which custom kinds do not know)',
    method: 'PATCH',
    path: `${within}/a?fieldManager=kubectl-patch`,
    accept: json,
    contentType: 'application/strategic-merge-patch+json',
    body: '{"metadata":{"labels":{"z":"y"}}}',
    status: 415,
    expects: { reason: 'UnsupportedMediaType', code: 415 },
  },
  {
    command: 'kubectl replace with an old version',
    method: 'PUT',
    path: `${within}/a?fieldManager=kubectl-replace&fieldValidation=Strict`,
    accept: json,
    contentType: json,
    body: `{${manifest},"metadata":{"name":"a","namespace":"default","resourceVersion":"1"},${spec}}`,
    status: 409,
    expects: { reason: 'Conflict', code: 409 },
  },
  {
    command: 'kubectl create ns y',
    method: 'POST',
    path: '/api/v1/namespaces?fieldManager=kubectl-create&fieldValidation=Strict',
    accept: typed,
    contentType: protobuf,
    body: 'azhzAAoPCgJ2MRIJTmFtZXNwYWNlEhkKEQoBeRIAGgAiACoAMgA4AEIAEgAaAgoAGgAiAA==',
    status: 201,
    expects: { kind: 'Namespace', metadata: { name: 'y' }, status: { phase: 'Active' } },
  },
  {
    command: 'kubectl create secret generic s --from-literal=a=b',
    method: 'POST',
    path: '/api/v1/namespaces/default/secrets?fieldManager=kubectl-create&fieldValidation=Strict',
    accept: typed,
    contentType: protobuf,
    body: 'azhzAAoMCgJ2MRIGU2VjcmV0Eh0KEQoBcxIAGgAiACoAMgA4AEIAEgYKAWESAWIaABoAIgA=',
    status: 201,
    expects: { kind: 'Secret', type: 'Opaque', data: { a: 'Yg==' } },
  },
  {
    command: 'kubectl delete dv a',
    method: 'DELETE',
    path: `${within}/a`,
    accept: json,
    contentType: json,
    body: '{"propagationPolicy":"Background"}\n',
    status: 200,
    expects: {
      kind: 'Status',
      status: 'Success',
      details: { name: 'a', group: 'cdi.kubevirt.io', kind: 'datavolumes' },
    },
  },
];
