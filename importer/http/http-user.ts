// Who a URL or a secret says we are, as basic authentication tells it (RFC 7617).

export interface HttpUser {
  username: string;
  password: string;
}

/** User and password in a URL; both empty where there are none. @throws URIError for a broken percent encoding */
export function userOf(url: URL): HttpUser {
  return { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
}

/** Value of Authorization or Proxy-Authorization; undefined where there is no user. */
export function basicOf({ username, password }: HttpUser): string | undefined {
  if (username === '' && password === '') return undefined;
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
