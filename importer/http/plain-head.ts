// Reads the head of an answer where it is as plain as file servers send it (RFC 9112), and refuses all that could be meant in two ways. Pure.

export interface PlainHead {
  status: number;
  /** Names in lower case, each once. */
  headers: Record<string, string>;
  /** Of the body; undefined where it is not told by a single Content-Length. */
  lengthBytes: number | undefined;
  keepsAlive: boolean;
}

const statusLine = /^HTTP\/1\.([01]) ([2-5]\d\d)(?: [^\r\n]*)?$/;
const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*$/;

/** What may not be said twice. */
const decisive = ['content-length', 'content-range', 'transfer-encoding', 'connection', 'etag', 'last-modified'];

/** @param head without the empty line at its end. @returns undefined for what is not plain */
export function parsePlainHead(head: string): PlainHead | undefined {
  const [first = '', ...lines] = head.split('\r\n');
  const [, minor, status] = statusLine.exec(first) ?? [];
  if (status === undefined) return undefined;
  const headers: Record<string, string> = Object.create(null);
  for (const line of lines) {
    const [, name, value] = headerLine.exec(line) ?? [];
    if (name === undefined || value === undefined) return undefined;
    const key = name.toLowerCase();
    if (headers[key] !== undefined && decisive.includes(key)) return undefined;
    headers[key] ??= value;
  }
  const plainLength = headers['transfer-encoding'] === undefined && /^\d{1,15}$/.test(headers['content-length'] ?? '');
  return {
    status: Number(status),
    headers,
    lengthBytes: plainLength ? Number(headers['content-length']) : undefined,
    keepsAlive: minor === '1' && !/\bclose\b/i.test(headers['connection'] ?? ''),
  };
}
