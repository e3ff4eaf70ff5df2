// What is to be in a claim: told by the DataVolume that owns it, else by the annotations that CDI's clients put on it. Pure.
import { annotations } from '../../domain/annotations.ts';
import type { DataVolume } from '../../domain/data-volume.ts';
import { Fault } from '../../domain/fault.ts';
import type { Claim } from '../../domain/kube-shapes.ts';
import { withFoundSource } from '../../domain/named-source.ts';
import type { ObjectKey } from '../../domain/object-store.ts';
import type { Operation } from '../../domain/phases.ts';
import {
  type SourceContent,
  sourceContent,
  sourceContentByAnnotations,
  whyUnsupported,
  whyUnsupportedByAnnotations,
} from '../inputs/source-content.ts';

interface Typed {
  /** Files in place of a disk; absent for a disk. */
  contentType?: 'archive';
}

export type ClaimContent =
  | ({ kind: 'image'; source: SourceContent } & Typed)
  | { kind: 'blank' }
  | ({ kind: 'upload' } & Typed)
  | ({ kind: 'clone'; source: Required<ObjectKey> } & Typed)
  /** Nobody fills it: a user's own files, or content that was there before. */
  | { kind: 'none' }
  /** Its DataVolume has not been seen yet, or is gone, or names a DataSource that nobody looked up: nothing is begun. */
  | { kind: 'unknown' }
  | { kind: 'unsupported'; operation: Operation; fault: Fault };

export function isArchive(content: ClaimContent): boolean {
  return 'contentType' in content && content.contentType === 'archive';
}

export function operationOfContent(content: ClaimContent): Operation | undefined {
  switch (content.kind) {
    case 'image':
    case 'blank':
      return 'import';
    case 'upload':
      return 'upload';
    case 'clone':
      return 'clone';
    case 'unsupported':
      return content.operation;
    case 'none':
    case 'unknown':
      return undefined;
  }
}

/** The DataVolume that controls the claim, by its owner reference. */
export function ownerOf(claim: Claim): { name: string; uid: string } | undefined {
  const owner = claim.metadata.ownerReferences?.find(
    (reference) => reference.kind === 'DataVolume' && reference.controller === true,
  );
  return owner === undefined ? undefined : { name: owner.name, uid: owner.uid };
}

/** The claim was made to be filled for this DataVolume, not adopted with what is in it. */
export function isMadeFor(claim: Claim, dataVolume: DataVolume): boolean {
  return claim.metadata.annotations?.[annotations.createdForDataVolume] === dataVolume.metadata.uid;
}

function unsupported(operation: Operation, detail: string): ClaimContent {
  return { kind: 'unsupported', operation, fault: new Fault('UnsupportedSource', detail) };
}

/** @param dataVolume the one of the owner's name */
export function contentOfClaim(claim: Claim, dataVolume: DataVolume | undefined): ClaimContent {
  const given = claim.metadata.annotations ?? {};
  if (given[annotations.populatedFor] !== undefined) return { kind: 'none' };
  if (ownerOf(claim)?.uid !== dataVolume?.metadata.uid) return { kind: 'unknown' };
  if (dataVolume !== undefined && !isMadeFor(claim, dataVolume)) return { kind: 'none' };
  const content = dataVolume === undefined ? contentByAnnotations(claim, given) : contentByDataVolume(dataVolume);
  const operation = operationOfContent(content);
  if (operation === undefined || content.kind === 'unsupported') return content;
  const contentType = dataVolume?.spec.contentType ?? given[annotations.contentType] ?? '';
  return contentType === 'archive' ? asArchive(content, operation, claim) : content;
}

/** CDI refuses all of these of a DataVolume; a claim with annotations alone nobody has looked at before. */
function asArchive(content: ClaimContent, operation: Operation, claim: Claim): ClaimContent {
  if (claim.spec.volumeMode === 'Block') return unsupported(operation, 'an archive needs volumeMode Filesystem');
  switch (content.kind) {
    case 'blank':
      return unsupported(operation, 'an empty disk is no archive: contentType has to be kubevirt');
    case 'image':
      if (content.source.kind !== 'registry') return { ...content, contentType: 'archive' };
      return unsupported(operation, 'a container image holds a disk: contentType has to be kubevirt');
    case 'upload':
    case 'clone':
      return { ...content, contentType: 'archive' };
    default:
      return content;
  }
}

function contentByDataVolume(dataVolume: DataVolume): ClaimContent {
  const { source, sourceRef } = withFoundSource(dataVolume).spec;
  if (source === undefined) return sourceRef === undefined ? { kind: 'none' } : { kind: 'unknown' };
  const image = sourceContent(source);
  if (image !== undefined) return { kind: 'image', source: image };
  if (source.blank !== undefined) return { kind: 'blank' };
  if (source.upload !== undefined) return { kind: 'upload' };
  if (source.pvc !== undefined) return { kind: 'clone', source: source.pvc };
  if (source.snapshot !== undefined) return unsupported('clone', 'source snapshot is not supported yet');
  return unsupported('import', whyUnsupported(source));
}

function contentByAnnotations(claim: Claim, given: Readonly<Record<string, string>>): ClaimContent {
  if (given[annotations.uploadTarget] !== undefined) return { kind: 'upload' };
  const cloneRequest = given[annotations.cloneRequest];
  if (cloneRequest !== undefined) return contentByCloneRequest(claim, cloneRequest);
  const url = given[annotations.importEndpoint];
  const source = given[annotations.importSource] ?? (url === undefined ? undefined : 'http');
  if (source === undefined) return { kind: 'none' };
  if (source === 'none') return { kind: 'blank' };
  const image = sourceContentByAnnotations(source, given);
  if (image === undefined) return unsupported('import', whyUnsupportedByAnnotations(source, given));
  if (image.url === '') return unsupported('import', `annotation ${annotations.importEndpoint} is missing`);
  return { kind: 'image', source: image };
}

/** `namespace/name`. Only within a namespace: a claim alone carries nobody's right to read another one. */
function contentByCloneRequest(claim: Claim, request: string): ClaimContent {
  const [namespace, name, ...rest] = request.split('/');
  if (namespace === undefined || name === undefined || name === '' || rest.length > 0) {
    return unsupported('clone', `annotation ${annotations.cloneRequest} is not namespace/name: ${request}`);
  }
  if (namespace !== claim.metadata.namespace) {
    return unsupported('clone', 'a clone between namespaces needs a DataVolume');
  }
  return { kind: 'clone', source: { namespace, name } };
}
