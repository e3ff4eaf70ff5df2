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

export const S3Inputs = Type.Object({
  kind: Type.Literal('s3'),
  /** Of a server with bucket and key in its path, or `s3://bucket/key`. */
  url: Type.String(),
  credentials: Type.Optional(
    Type.Object({
      accessKeyId: Type.String(),
      secretAccessKey: Type.String(),
      sessionToken: Type.Optional(Type.String()),
    }),
  ),
  region: Type.Optional(Type.String()),
  ...Trust,
  onePass: Type.Optional(Type.Boolean()),
});
export type S3Inputs = Static<typeof S3Inputs>;

export const GcsInputs = Type.Object({
  kind: Type.Literal('gcs'),
  /** `gs://bucket/object`, or that of a server with bucket and object in its path. */
  url: Type.String(),
  /** Key file of a service account, as Google gives it out. */
  serviceAccount: Type.Optional(Type.String()),
  ...Trust,
  onePass: Type.Optional(Type.Boolean()),
});
export type GcsInputs = Static<typeof GcsInputs>;

export const RegistryInputs = Type.Object({
  kind: Type.Literal('registry'),
  /** `docker://host/repository:tag` or `oci-archive:path`. */
  url: Type.String(),
  credentials: Type.Optional(Type.Object({ username: Type.String(), password: Type.String() })),
  /** Of the image that is wanted; that of the node where none is named. */
  architecture: Type.Optional(Type.String()),
  /** With `insecureSkipVerify` http will do, too. */
  ...Trust,
});
export type RegistryInputs = Static<typeof RegistryInputs>;

export const SourceInputs = Type.Union([HttpInputs, S3Inputs, GcsInputs, RegistryInputs]);
export type SourceInputs = Static<typeof SourceInputs>;
