// What a registry asks for when it answers 401: the header WWW-Authenticate (RFC 9110, 11.6.1; the distribution project's token specification). Pure.

export type AuthChallenge =
  | { scheme: 'basic' }
  | { scheme: 'bearer'; realm: string; service: string | undefined; scopes: readonly string[] };

/** @returns the challenge that can be met best: a token where one is offered; undefined where none can */
export function parseChallenge(header: string | string[] | undefined): AuthChallenge | undefined {
  const challenges = (Array.isArray(header) ? header : [header ?? '']).flatMap(challengesIn);
  return challenges.find(({ scheme }) => scheme === 'bearer') ?? challenges[0];
}

function challengesIn(line: string): AuthChallenge[] {
  const found: AuthChallenge[] = [];
  const begins = [...line.matchAll(/(?:^|,)\s*(basic|bearer)(?=\s|,|$)/gi)];
  for (const [place, begin] of begins.entries()) {
    const text = line.slice(begin.index + begin[0].length, begins[place + 1]?.index);
    if (begin[1]?.toLowerCase() === 'basic') {
      found.push({ scheme: 'basic' });
      continue;
    }
    const parameters = parametersIn(text);
    const realm = parameters.get('realm');
    const scopes = (parameters.get('scope') ?? '').split(' ').filter((scope) => scope !== '');
    if (realm !== undefined) found.push({ scheme: 'bearer', realm, service: parameters.get('service'), scopes });
  }
  return found;
}

function parametersIn(text: string): Map<string, string> {
  const pairs = text.matchAll(/([a-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi);
  return new Map(
    [...pairs].map(([, name = '', quoted, bare]) => [
      name.toLowerCase(),
      quoted?.replaceAll(/\\(.)/g, '$1') ?? bare ?? '',
    ]),
  );
}
