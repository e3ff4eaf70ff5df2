// A container image as its URL names it: `docker://host[:port]/repository[:tag][@digest]`. A name without a host is Docker Hub's, as everywhere.
// The grammar is that of the distribution specification. Pure.

export interface ImageReference {
  /** `host` or `host:port`, as written; docker.io where none is. */
  host: string;
  repository: string;
  /** The digest where one is named, else the tag. */
  reference: string;
}

const registryScheme = 'docker://';

const hubNames = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];
const defaultTag = 'latest';
const longestRepository = 255;
const hostForm = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;
const repositoryForm = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const tagForm = /^\w[\w.-]{0,127}$/;
const digestForm = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** True for `algorithm:hex` of a kind that is verified here. */
export function isImageDigest(text: string): boolean {
  return digestForm.test(text);
}

/** @returns undefined for what is no `docker://` URL, or names no image */
export function parseImageReference(url: string): ImageReference | undefined {
  if (!url.startsWith(registryScheme)) return undefined;
  const { name, tag, digest } = splitReference(url.slice(registryScheme.length));
  const { host, path } = splitHost(name);
  const isHub = hubNames.includes(host);
  const repository = isHub && !path.includes('/') ? `library/${path}` : path;
  const reference = digest ?? tag ?? defaultTag;
  const isNamed = digest === undefined ? tagForm.test(reference) : digestForm.test(reference);
  const isHost = hostForm.test(host) && URL.canParse(`https://${host}`);
  if (!isNamed || !isHost || repository.length > longestRepository) return undefined;
  return repositoryForm.test(repository) ? { host: isHub ? 'docker.io' : host, repository, reference } : undefined;
}

/** A tag stands behind the last colon that no slash follows: a port is followed by one. */
function splitReference(text: string): { name: string; tag?: string; digest?: string } {
  const at = text.indexOf('@');
  const digest = at < 0 ? {} : { digest: text.slice(at + 1) };
  const rest = at < 0 ? text : text.slice(0, at);
  const colon = rest.lastIndexOf(':');
  if (colon < 0 || rest.includes('/', colon)) return { name: rest, ...digest };
  return { name: rest.slice(0, colon), tag: rest.slice(colon + 1), ...digest };
}

/** What stands before the first slash is a host if it looks like one. */
function splitHost(name: string): { host: string; path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const isHost = /[.:]/.test(first) || first === 'localhost';
  return isHost ? { host: first, path: name.slice(slash + 1) } : { host: 'docker.io', path: name };
}
