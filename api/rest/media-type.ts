// Which representation a client wants, from its Accept header: plain JSON, a Table, or metadata only. Protobuf and CBOR, which some clients
// name first, are passed over for the JSON that they name next.
export type Representation = 'object' | 'table' | 'metadata';

export interface AcceptedType {
  readonly representation: Representation;
  readonly parameters: Readonly<Record<string, string>>;
}

export function acceptClauses(accept: string | undefined): { type: string; parameters: Record<string, string> }[] {
  return (accept ?? '').split(',').map((clause) => {
    const [type = '', ...rest] = clause.split(';').map((part) => part.trim());
    const pairs = rest.map((part) => part.split('=', 2).map((side) => side.trim()));
    return { type, parameters: Object.fromEntries(pairs.map(([name = '', value = '']) => [name, value])) };
  });
}

const transformed: Readonly<Record<string, Representation>> = {
  Table: 'table',
  PartialObjectMetadata: 'metadata',
  PartialObjectMetadataList: 'metadata',
};

const json: ReadonlySet<string> = new Set(['application/json', 'application/*', '*/*']);

/** Also where a client does not say what it accepts. */
export function takesJson(accept: string | undefined): boolean {
  return accept === undefined || acceptClauses(accept).some(({ type }) => json.has(type));
}

/** The first clause that can be served; plain JSON where none can. */
export function acceptedType(accept: string | undefined): AcceptedType {
  for (const { type, parameters } of acceptClauses(accept)) {
    if (!json.has(type)) continue;
    const { as, g, v } = parameters;
    if (as === undefined) return { representation: 'object', parameters };
    const representation = transformed[as];
    if (representation !== undefined && g === 'meta.k8s.io' && v === 'v1') return { representation, parameters };
  }
  return { representation: 'object', parameters: {} };
}
