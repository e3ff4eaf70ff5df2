// Claims of CDI's tokens: JWS PS256. An upload token names one claim; ours also carries the uid of the claim, so that a token for a
// deleted claim never opens the next one of the same name.
import { type Static, Type } from 'typebox';

export const tokenIssuer = 'cdi-apiserver';

export const TokenClaims = Type.Object({
  iss: Type.String(),
  iat: Type.Integer(),
  nbf: Type.Integer(),
  exp: Type.Integer(),
  operation: Type.Union([Type.Literal('Upload'), Type.Literal('Clone')]),
  name: Type.String({ minLength: 1 }),
  namespace: Type.String({ minLength: 1 }),
  resource: Type.Object({ group: Type.String(), version: Type.String(), resource: Type.String() }),
  /** `uid`: of the claim. */
  params: Type.Optional(Type.Record(Type.String(), Type.String())),
});
export type TokenClaims = Static<typeof TokenClaims>;
