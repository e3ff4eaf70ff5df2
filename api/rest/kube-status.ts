// Errors as Kubernetes tells them: metav1.Status with code, reason and details, which kubectl and other clients read and print.
import { admissionMessage, type Cause, shapeMessage } from '../../domain/cause.ts';
import { Fault } from '../../domain/fault.ts';
import type { FaultCode } from '../../domain/fault-catalogue.ts';
import { reasonOf } from '../../domain/kube-reason.ts';
import type { ResourceRef } from '../../domain/object-store.ts';

export interface StatusCause {
  reason: string;
  message: string;
  field?: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

export interface KubeStatus {
  kind: 'Status';
  apiVersion: 'v1';
  metadata: Record<string, never>;
  status: 'Success' | 'Failure';
  message?: string;
  reason?: string;
  details?: StatusDetails;
  code: number;
}

/** What the request was about, for the details of an error. */
export interface Subject {
  resource: ResourceRef;
  name?: string;
}

/** A fault with the details that Kubernetes' clients look at. */
export class Refusal extends Fault {
  readonly details: StatusDetails;

  constructor(code: FaultCode, message: string, details: StatusDetails = {}) {
    super(code, message);
    this.name = 'Refusal';
    this.details = details;
  }
}

/** Codes whose status tells of the asked object even where nobody added details. */
const aboutSubject = new Set<FaultCode>(['NotFound', 'AlreadyExists', 'Conflict', 'InvalidRequest', 'Forbidden']);

function detailsOf(fault: Fault, subject: Subject | undefined): StatusDetails | undefined {
  const own = fault instanceof Refusal ? fault.details : {};
  if (subject === undefined || !aboutSubject.has(fault.code)) return Object.keys(own).length === 0 ? undefined : own;
  const { group, plural, kind } = subject.resource;
  const named: StatusDetails = {
    ...(subject.name === undefined ? {} : { name: subject.name }),
    ...(group === '' ? {} : { group }),
    kind: fault.code === 'InvalidRequest' ? kind : plural,
  };
  return { ...named, ...own };
}

export function statusOf(fault: Fault, subject?: Subject): KubeStatus {
  const details = detailsOf(fault, subject);
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: fault.detail,
    reason: reasonOf(fault),
    ...(details === undefined ? {} : { details }),
    code: fault.row.http,
  };
}

/** What a successful delete answers where no object is left. */
export function deletedStatus(resource: ResourceRef, name: string, uid: string): KubeStatus {
  const details = { name, ...(resource.group === '' ? {} : { group: resource.group }), kind: resource.plural, uid };
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details, code: 200 };
}

function told(causes: readonly Cause[]): StatusCause[] {
  return causes.map(({ type, field, message }) => ({ reason: type, message, field }));
}

/** 422 as the API server's own validation words it. */
export function refusedShape(resource: ResourceRef, name: string, causes: readonly Cause[]): Refusal {
  const message = shapeMessage(resource.kind, resource.group, name, causes);
  const named = { name, ...(resource.group === '' ? {} : { group: resource.group }), kind: resource.kind };
  return new Refusal('InvalidRequest', message, { ...named, causes: told(causes) });
}

/** 422 as an admission webhook of CDI words it. */
export function refusedAdmission(causes: readonly Cause[]): Refusal {
  return new Refusal('InvalidRequest', admissionMessage(causes), { causes: told(causes) });
}

export function badRequest(message: string): Refusal {
  return new Refusal('MalformedRequest', message);
}
