// Reads Kubernetes' protobuf by small tables of fields: kubectl sends its reviews and its core objects so, and does not try JSON when that is refused.
// What the tables do not name is passed over. Wire format: https://protobuf.dev/programming-guides/encoding/
import { badRequest } from './kube-status.ts';

export interface Message {
  /** By field number. */
  readonly [number: number]: { readonly name: string; readonly as: FieldType; readonly repeated?: boolean };
}

export type FieldType =
  | 'string'
  | 'bool'
  | 'integer'
  /** Bytes, as base64. */
  | 'bytes'
  /** A quantity: a message whose first field is its text. */
  | 'quantity'
  | { readonly mapOf: FieldType }
  | { readonly message: Message };

type Raw = { number: number; varint: bigint } | { number: number; bytes: Uint8Array };

class Wire {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  *fields(): Iterable<Raw> {
    while (this.#at < this.#bytes.length) {
      const tag = Number(this.#varint());
      const [number, type] = [tag >>> 3, tag & 7];
      if (type === 0) yield { number, varint: this.#varint() };
      else if (type === 2) yield { number, bytes: this.#take(Number(this.#varint())) };
      else if (type === 1) this.#take(8);
      else if (type === 5) this.#take(4);
      else throw badRequest('the body of the request is no protobuf');
    }
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length;
    if (!(end <= this.#bytes.length)) throw badRequest('the body of the request ends early');
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  #varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const [byte = 0] = this.#take(1);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw badRequest('the body of the request is no protobuf');
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

function mapEntry(bytes: Uint8Array, mapOf: FieldType): [string, unknown] {
  const table: Message = { 1: { name: 'key', as: 'string' }, 2: { name: 'value', as: mapOf } };
  const entry = new Map(Object.entries(readMessage(table, bytes, true)));
  return [String(entry.get('key') ?? ''), entry.get('value') ?? ''];
}

function fieldValue(as: FieldType, raw: Raw): unknown {
  if ('varint' in raw) return as === 'bool' ? raw.varint !== 0n : Number(raw.varint);
  if (as === 'bytes') return Buffer.from(raw.bytes).toString('base64');
  if (as === 'quantity') return readMessage({ 1: { name: 'text', as: 'string' } }, raw.bytes)['text'];
  return typeof as === 'object' && 'message' in as ? readMessage(as.message, raw.bytes) : textOf(raw.bytes);
}

/** Go writes members that are not set as empty texts and empty messages. */
function isUnset(value: unknown): boolean {
  return value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
}

/** @param keepsUnset for the values of maps, which may be empty. @throws Fault MalformedRequest */
export function readMessage(table: Message, bytes: Uint8Array, keepsUnset = false): Record<string, unknown> {
  const members = new Map<string, unknown>();
  for (const raw of new Wire(bytes).fields()) {
    const field = table[raw.number];
    if (field === undefined) continue;
    const { name, as, repeated = false } = field;
    const former = members.get(name);
    if (typeof as === 'object' && 'mapOf' in as) {
      if (!('bytes' in raw)) throw badRequest('the body of the request is no protobuf');
      const others = typeof former === 'object' && former !== null ? former : {};
      members.set(name, { ...others, ...Object.fromEntries([mapEntry(raw.bytes, as.mapOf)]) });
    } else if (repeated) members.set(name, [...(Array.isArray(former) ? former : []), fieldValue(as, raw)]);
    else members.set(name, fieldValue(as, raw));
  }
  return Object.fromEntries([...members].filter(([, value]) => keepsUnset || !isUnset(value)));
}
