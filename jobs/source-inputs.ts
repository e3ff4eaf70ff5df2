// Where the bytes of an image come from, and with what right: the part of an attempt's inputs that holds credentials. It goes over the channel only.
import { type Static, Type } from 'typebox';

/** Whom to trust, and which way to go. */
const Trust = {
  /** PEM certificates trusted besides the system's. */
  certificates: Type.Array(Type.String()),
  insecureSkipVerify: Type.Boolean(),
  proxy: Type.Optional(
    Type.Object({
      http: Type.Optional(Type.String()),
      https: Type.Optional(Type.String()),
      no: Type.Optional(Type.String()),
    }),
  ),
};

export const HttpInputs = Type.Object({
  kind: Type.Literal('http'),
  url: Type.String(),
  credentials: Type.Optional(Type.Object({ username: Type.String(), password: Type.String() })),
  /** Extra headers, name and value. */
  headers: Type.Array(Type.Tuple([Type.String(), Type.String()])),
  ...Trust,
  /** No part is to be asked for: the attempt before found that the server does not prove parts to be of the same content. */
  onePass: Type.Optional(Type.Boolean()),
});
export type HttpInputs = Static<typeof HttpInputs>;

export const SourceInputs = Type.Union([HttpInputs]);
export type SourceInputs = Static<typeof SourceInputs>;
