// The kinds that kubectl and other typed clients send as protobuf: their field numbers, as in Kubernetes' generated.proto files.
import { badRequest } from './kube-status.ts';
import { type FieldType, type Message, readMessage } from './protobuf-reader.ts';

function field(name: string, as: FieldType = 'string', repeated = false) {
  return { name, as, repeated };
}

const ownerReference: Message = {
  1: field('kind'),
  3: field('name'),
  4: field('uid'),
  5: field('apiVersion'),
  6: field('controller', 'bool'),
  7: field('blockOwnerDeletion', 'bool'),
};

const metadata: FieldType = {
  message: {
    1: field('name'),
    2: field('generateName'),
    3: field('namespace'),
    5: field('uid'),
    6: field('resourceVersion'),
    7: field('generation', 'integer'),
    11: field('labels', { mapOf: 'string' }),
    12: field('annotations', { mapOf: 'string' }),
    13: field('ownerReferences', { message: ownerReference }, true),
    14: field('finalizers', 'string', true),
  },
};

const resourceAttributes: Message = {
  1: field('namespace'),
  2: field('verb'),
  3: field('group'),
  4: field('version'),
  5: field('resource'),
  6: field('subresource'),
  7: field('name'),
};

const accessReviewSpec: Message = {
  1: field('resourceAttributes', { message: resourceAttributes }),
  2: field('nonResourceAttributes', { message: { 1: field('path'), 2: field('verb') } }),
};

const quantities: FieldType = { mapOf: 'quantity' };
const dataSource: Message = { 1: field('apiGroup'), 2: field('kind'), 3: field('name'), 4: field('namespace') };

const claimSpec: Message = {
  1: field('accessModes', 'string', true),
  2: field('resources', { message: { 1: field('limits', quantities), 2: field('requests', quantities) } }),
  3: field('volumeName'),
  5: field('storageClassName'),
  6: field('volumeMode'),
  7: field('dataSource', { message: dataSource }),
  8: field('dataSourceRef', { message: dataSource }),
};

const kinds: Readonly<Record<string, Message>> = {
  'authorization.k8s.io/v1 SelfSubjectAccessReview': {
    1: field('metadata', metadata),
    2: field('spec', { message: accessReviewSpec }),
  },
  'authorization.k8s.io/v1 SelfSubjectRulesReview': {
    1: field('metadata', metadata),
    2: field('spec', { message: { 1: field('namespace') } }),
  },
  'authentication.k8s.io/v1 SelfSubjectReview': { 1: field('metadata', metadata) },
  'v1 Namespace': { 1: field('metadata', metadata) },
  'v1 Secret': {
    1: field('metadata', metadata),
    2: field('data', { mapOf: 'bytes' }),
    3: field('type'),
    4: field('stringData', { mapOf: 'string' }),
    5: field('immutable', 'bool'),
  },
  'v1 ConfigMap': {
    1: field('metadata', metadata),
    2: field('data', { mapOf: 'string' }),
    3: field('binaryData', { mapOf: 'bytes' }),
    4: field('immutable', 'bool'),
  },
  'v1 PersistentVolumeClaim': { 1: field('metadata', metadata), 2: field('spec', { message: claimSpec }) },
};

const deleteOptions: Message = {
  2: field('preconditions', { message: { 1: field('uid'), 2: field('resourceVersion') } }),
  3: field('orphanDependents', 'bool'),
  4: field('propagationPolicy'),
  5: field('dryRun', 'string', true),
};

/** The envelope around every message: four bytes, then who it is and its bytes. */
const magic = Buffer.from([0x6b, 0x38, 0x73, 0]);
const envelope: Message = {
  1: field('type', { message: { 1: field('apiVersion'), 2: field('kind') } }),
  2: field('raw', 'bytes'),
};

/** @returns the object as if it had come as JSON. @throws Fault MalformedRequest where it is none of the kinds that are known here */
export function readProtobuf(body: Buffer): unknown {
  if (!body.subarray(0, 4).equals(magic)) throw badRequest('the body of the request is no Kubernetes protobuf');
  const { type, raw } = readMessage(envelope, body.subarray(4));
  const { apiVersion, kind } = { apiVersion: '', kind: '', ...(typeof type === 'object' ? type : {}) };
  const table = kind === 'DeleteOptions' ? deleteOptions : kinds[`${apiVersion} ${kind}`];
  if (table === undefined) throw badRequest(`${kind} of ${apiVersion} is not read as protobuf; send JSON`);
  const object = readMessage(table, Buffer.from(typeof raw === 'string' ? raw : '', 'base64'));
  // A review may ask nothing in particular; its spec is there all the same.
  const base = kind.startsWith('SelfSubject') ? { spec: {} } : {};
  return kind === 'DeleteOptions' ? object : { ...base, ...object, apiVersion, kind };
}
