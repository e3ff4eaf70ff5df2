// Version 2 of the OpenAPI page as protobuf, the one form in which kubectl asks for it: for a kind or version that is not served, so that it can say so, for
// patches of Kubernetes' own kinds, and for `explain --output=plaintext-openapiv2`. Messages and numbers are those of gnostic's openapi.v2.
import { Fault } from '../../domain/fault.ts';
import { isRecord } from './read-object.ts';

/** A member of a page as the fields that stand for it. */
type Encode = (value: unknown) => Buffer[];

interface Message {
  readonly members: Readonly<Record<string, Encode>>;
  /** Field of members that begin with `x-`. */
  readonly extensions?: number;
  /** What is said of members that are names themselves: paths, definitions, statuses. */
  readonly others?: Encode;
}

const lengthDelimited = 2;

/** See https://protobuf.dev/programming-guides/encoding/ */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7f; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  return Buffer.from([...bytes, left]);
}

function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([varint(number * 8 + lengthDelimited), varint(content.length), content]);
}

const text = (number: number): Encode => {
  return (value) => [field(number, Buffer.from(String(value)))];
};
const integer = (number: number): Encode => {
  return (value) => [varint(number * 8), varint(Number(value))];
};
const double = (number: number): Encode => {
  return (value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(Number(value));
    return [varint(number * 8 + 1), bytes];
  };
};
const each = (encode: Encode): Encode => {
  return (value) => (Array.isArray(value) ? value : [value]).flatMap(encode);
};
/** @param message asked for late, as schemas hold schemas */
const nested = (number: number, message: () => Message): Encode => {
  return (value) => [field(number, encodeMessage(message(), value))];
};
/** Within messages that only say which of several kinds it is. */
const within = (numbers: readonly number[], encode: Encode): Encode => {
  const wrap = (content: Buffer, number: number): Buffer => field(number, content);
  return (value) => [numbers.reduceRight(wrap, Buffer.concat(encode(value)))];
};

/** Any value; JSON is YAML. */
const any = (number: number): Encode => {
  return (value) => [field(number, Buffer.concat(text(2)(JSON.stringify(value))))];
};

/** A name beside what it names. */
const named = (number: number, message: () => Message): Encode => {
  return (value) => {
    const [name, content] = Array.isArray(value) ? value : [];
    return [field(number, Buffer.concat([...text(1)(name), ...nested(2, message)(content)]))];
  };
};

function encodeMessage({ members, extensions, others }: Message, value: unknown): Buffer {
  if (!isRecord(value)) throw new Fault('Internal', 'a part of the OpenAPI page is no object');
  const fields = Object.entries(value).flatMap(([name, member]) => {
    if (extensions !== undefined && name.startsWith('x-')) {
      return [field(extensions, Buffer.concat([...text(1)(name), ...any(2)(member)]))];
    }
    const known = members[name];
    if (known !== undefined) return known(member);
    if (others === undefined) throw new Fault('Internal', `the OpenAPI page has a member ${name} without a number`);
    return others([name, member]);
  });
  return Buffer.concat(fields);
}

const properties: Message = { members: {}, others: named(1, () => schema) };

const schema: Message = {
  members: {
    $ref: text(1),
    format: text(2),
    description: text(4),
    default: any(5),
    maximum: double(7),
    minimum: double(9),
    maxLength: integer(11),
    minLength: integer(12),
    pattern: text(13),
    maxItems: integer(14),
    minItems: integer(15),
    maxProperties: integer(17),
    minProperties: integer(18),
    required: each(text(19)),
    enum: each(any(20)),
    additionalProperties: within(
      [21],
      nested(1, () => schema),
    ),
    type: within([22], each(text(1))),
    items: within([23], each(nested(1, () => schema))),
    properties: nested(25, () => properties),
  },
  extensions: 31,
};

const queryParameter: Message = { members: { in: text(2), name: text(4), type: text(6) }, extensions: 23 };
const response: Message = { members: { description: text(1) }, extensions: 5 };
const responseValue: Message = { members: { response: nested(1, () => response) } };
const responses: Message = {
  members: {},
  others: (value) => {
    const [status, told] = Array.isArray(value) ? value : [];
    return named(1, () => responseValue)([status, { response: told }]);
  },
};

const operation: Message = {
  members: {
    operationId: text(5),
    consumes: each(text(7)),
    parameters: each(
      within(
        [8, 1, 2],
        nested(3, () => queryParameter),
      ),
    ),
    responses: nested(9, () => responses),
  },
  extensions: 13,
};

const pathItem: Message = {
  members: {
    get: nested(2, () => operation),
    put: nested(3, () => operation),
    post: nested(4, () => operation),
    delete: nested(5, () => operation),
    patch: nested(8, () => operation),
  },
};
const paths: Message = { members: {}, others: named(2, () => pathItem) };
const info: Message = { members: { title: text(1), version: text(2) } };

const document: Message = {
  members: {
    swagger: text(1),
    info: nested(2, () => info),
    paths: nested(8, () => paths),
    definitions: nested(9, () => properties),
  },
};

/** @param page as `openApiV2` makes it */
export function encodeOpenApiV2(page: unknown): Buffer {
  return encodeMessage(document, page);
}
