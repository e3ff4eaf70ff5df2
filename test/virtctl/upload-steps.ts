// The steps of `virtctl image-upload` as a table: verb, path and body of each, what the answer must hold, and what virtctl would say otherwise. The order
// and the conditions are those of kubevirt's pkg/virtctl/imageupload.
import { expect } from 'vitest';
import { type ApiAnswer, until } from '../service-fixture.ts';

/** An API that takes the steps. */
export interface UploadApi {
  call<T>(method: string, path: string, body?: unknown): Promise<ApiAnswer<T>>;
}

export interface KubeAnswer {
  metadata?: { annotations?: Record<string, string> };
  spec?: { uploadProxyURLOverride?: string };
  status?: { phase?: string; token?: string; uploadProxyURL?: string };
}

export interface UploadStep {
  does: string;
  verb: string;
  path: string;
  body?: unknown;
  status: number;
  /** What virtctl looks for; polled as virtctl polls. */
  holds?: (answer: KubeAnswer) => boolean;
  /** Otherwise virtctl says. */
  otherwise: string;
}

export interface UploadTarget {
  kind: 'dv' | 'pvc';
  namespace: string;
  name: string;
  size: string;
  /** --force-bind: the claim waits for no consumer. */
  forcesBinding?: boolean;
  storageClassName?: string;
}

const cdi = (name: string) => `cdi.kubevirt.io/${name}`;

export function claimPath({ namespace, name }: UploadTarget): string {
  return `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${name}`;
}

/** Up to the address of the proxy; what follows are a token, the bytes, and the wait for the end. */
export function uploadSteps(target: UploadTarget): UploadStep[] {
  const claim = claimPath(target);
  return [
    { does: 'asks for the claim', verb: 'GET', path: claim, status: 404, otherwise: 'the Status' },
    creation(target),
    target.kind === 'dv'
      ? {
          ...{ does: 'waits for the phase', verb: 'GET', path: `${dataVolumes(target)}/${target.name}`, status: 200 },
          holds: ({ status }) => status?.phase === 'UploadReady',
          otherwise: 'cannot upload to DataVolume in X phase, or a timeout',
        }
      : {
          ...{ does: 'waits for the claim', verb: 'GET', path: claim, status: 200 },
          holds: ({ metadata }) => metadata?.annotations?.[cdi('storage.pod.ready')] === 'true',
          otherwise: 'timed out waiting for the condition',
        },
    {
      ...{ does: 'asks for the proxy', verb: 'GET', path: '/apis/cdi.kubevirt.io/v1beta1/cdiconfigs/config' },
      status: 200,
      holds: ({ status, spec }) => (spec?.uploadProxyURLOverride ?? status?.uploadProxyURL ?? '') !== '',
      otherwise: 'uploadproxy URL not found',
    },
  ];
}

function dataVolumes({ namespace }: UploadTarget): string {
  return `/apis/cdi.kubevirt.io/v1beta1/namespaces/${namespace}/datavolumes`;
}

function creation(target: UploadTarget): UploadStep {
  const { namespace, name, storageClassName } = target;
  const binding = target.forcesBinding === true ? { [cdi('storage.bind.immediate.requested')]: '' } : {};
  const size = {
    resources: { requests: { storage: target.size } },
    ...(storageClassName === undefined ? {} : { storageClassName }),
  };
  if (target.kind === 'dv') {
    return {
      ...{ does: 'creates the DataVolume', verb: 'POST', path: dataVolumes(target), status: 201 },
      otherwise: 'the Status',
      body: {
        ...{ apiVersion: 'cdi.kubevirt.io/v1beta1', kind: 'DataVolume' },
        metadata: { name, namespace, annotations: binding },
        spec: { source: { upload: {} }, contentType: 'kubevirt', storage: size },
      },
    };
  }
  return {
    ...{ does: 'creates the claim', verb: 'POST', path: `/api/v1/namespaces/${namespace}/persistentvolumeclaims` },
    ...{ status: 201, otherwise: 'the Status' },
    body: {
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
      metadata: {
        ...{ name, namespace, labels: { [cdi('applyStorageProfile')]: 'true' } },
        annotations: { ...binding, [cdi('storage.upload.target')]: '', [cdi('storage.contentType')]: 'kubevirt' },
      },
      spec: { accessModes: ['ReadWriteOnce'], ...size },
    },
  };
}

/** The wait after the bytes were sent. */
export function lastStep(target: UploadTarget): UploadStep {
  return {
    ...{ does: 'waits for the end', verb: 'GET', path: claimPath(target), status: 200 },
    holds: ({ metadata }) => metadata?.annotations?.[cdi('storage.pod.phase')] === 'Succeeded',
    otherwise: 'Timed out waiting for post upload processing to complete',
  };
}

export async function takeStep(api: UploadApi, step: UploadStep): Promise<KubeAnswer> {
  let answer = await api.call<KubeAnswer>(step.verb, step.path, step.body);
  expect(answer.status, `${step.does}: ${JSON.stringify(answer.body)}`).toBe(step.status);
  const { holds } = step;
  if (holds === undefined) return answer.body;
  await until(`${step.does}, else virtctl says: ${step.otherwise}`, async () => {
    if (holds(answer.body)) return true;
    answer = await api.call<KubeAnswer>(step.verb, step.path);
    return holds(answer.body);
  });
  return answer.body;
}

/** @returns an upload token for the claim */
export async function tokenFor(api: UploadApi, { namespace, name }: UploadTarget): Promise<string> {
  const path = `/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/${namespace}/uploadtokenrequests`;
  const answer = await api.call<KubeAnswer>('POST', path, {
    ...{ apiVersion: 'upload.cdi.kubevirt.io/v1beta1', kind: 'UploadTokenRequest' },
    metadata: { generateName: 'token-for-virtctl-' },
    spec: { pvcName: name },
  });
  expect(Math.trunc(answer.status / 100), `virtctl shows the Status: ${JSON.stringify(answer.body)}`).toBe(2);
  return answer.body.status?.token ?? '';
}
